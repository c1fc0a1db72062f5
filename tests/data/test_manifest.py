"""Prepared data: what opening and verifying find."""

import re

import pytest

from repro.data.manifest import MANIFEST, Prepared
from repro.errors import DataError

MEND = re.escape("mend it with `repro prepare python-stdlib vocab_size=320`")


def refusal(call):
    with pytest.raises(DataError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def flip(path, place):
    """Alter one byte and keep the size."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_the_totals_are_those_of_the_shards(shared_set):
    assert len(shared_set.shards("train")) > 2
    for split in ("train", "validation"):
        total = shared_set.manifest.totals[split]
        assert total.tokens == shared_set.tokens(split) == sum(len(shared_set.map(s)) for s in shared_set.shards(split))
        assert total.documents == sum(shard.documents for shard in shared_set.shards(split))


def test_a_set_opens_as_it_was_prepared(shared_set):
    assert Prepared.open(shared_set.folder) == shared_set
    shared_set.verify()


def test_a_truncated_shard_is_named_with_both_sizes_and_the_mend(small_set):
    path = small_set.folder / "train" / "00001.bin"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-10])
    said = refusal(lambda: Prepared.open(small_set.folder))
    assert re.fullmatch(rf"\S+train/00001\.bin holds {size - 10} bytes, expected {size}; {MEND}", said)


def test_a_missing_shard_is_named(small_set):
    (small_set.folder / "validation" / "00000.bin").unlink()
    assert "validation/00000.bin holds 0 bytes, expected" in refusal(lambda: Prepared.open(small_set.folder))


@pytest.mark.parametrize("file", ["train/00000.bin", "validation/00000.bin", "tokenizer.json"])
def test_an_altered_file_is_found_by_verifying(small_set, file):
    flip(small_set.folder / file, 100)
    said = refusal(Prepared.open(small_set.folder).verify)
    assert re.fullmatch(rf"\S+{file} is missing or altered: its sha256 is not the manifest's; {MEND}", said)


def test_an_altered_manifest_does_not_open(small_set):
    path = small_set.folder / MANIFEST
    path.write_text(path.read_text().replace('"eos_id": 0', '"eos_id": 1'))
    said = refusal(lambda: Prepared.open(small_set.folder))
    assert re.fullmatch(rf"\S+manifest\.json cannot be used: .*it was altered; {MEND}", said)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema_version": 2}'])
def test_a_manifest_that_cannot_be_read_does_not_open(small_set, content):
    (small_set.folder / MANIFEST).write_text(content)
    assert "manifest.json cannot be used: " in refusal(lambda: Prepared.open(small_set.folder))


def test_a_folder_without_a_manifest_is_no_set(tmp_path):
    assert refusal(lambda: Prepared.open(tmp_path)).endswith("holds no prepared data: expected manifest.json")


def test_a_model_with_a_smaller_vocabulary_is_refused(shared_set):
    shared_set.check_vocabulary(320)
    shared_set.check_vocabulary(384)  # padded
    said = refusal(lambda: shared_set.check_vocabulary(319))
    assert said.startswith("model.vocab_size=319 is smaller than that of ")
    assert "go up to 319: expected at least 320" in said


def test_the_fingerprint_follows_the_tokens_and_not_the_folder(prepare_in, tmp_path, shared_set):
    again = prepare_in(tmp_path / "elsewhere")
    other = prepare_in(tmp_path / "other", vocab_size=321)
    assert again.manifest.fingerprint == shared_set.manifest.fingerprint != other.manifest.fingerprint
