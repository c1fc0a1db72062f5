"""Digests: what they see, what they do not, and that there is one of them."""

from pathlib import Path

from repro.digests import digest

PACKAGE = Path(__file__).parents[1] / "repro"


def test_a_digest_sees_values_and_not_the_order_of_keys():
    assert digest({"a": 1, "b": [2]}, 16) == digest({"b": [2], "a": 1}, 16)
    assert digest({"a": 1}, 16) != digest({"a": 2}, 16)


def test_a_digest_stays_what_it_was_since_files_carry_it():
    assert digest({"a": 1}, 12) == "f9d86028c6e0"
    assert digest({"a": 1}, 16) == "f9d86028c6e0d64e"


def test_theory_that_writes_and_claims_that_read_make_no_digests_of_their_own():
    own = [path for part in ("theory", "claims") for path in (PACKAGE / part).rglob("*.py")]
    assert not [path for path in own if "hashlib" in path.read_text()]
