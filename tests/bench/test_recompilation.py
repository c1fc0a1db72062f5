"""What is compiled anew is counted after the first number of tokens, and of how many."""

import pytest
import torch

from repro.bench import recompilation
from repro.bench.measurement import Case
from repro.bench.peers import ASCENDING, Peer
from repro.bench.recompilation import recompilations

CASE, CPU = Case("polynorm", 48, 6), torch.device("cpu")


@pytest.fixture
def compiled(monkeypatch):
    """The numbers of tokens that "each" compiled for; "once" compiles nothing."""
    seen = set()

    def anew_for_each(x, coeff):
        seen.add(len(x))
        return x * coeff.sum()

    def count():
        return len(seen)

    once = Peer("once", lambda x, coeff: x * coeff.sum(), ASCENDING)
    each, sharing = (Peer(name, anew_for_each, ASCENDING, compilations=count) for name in ("each", "sharing"))
    monkeypatch.setattr(recompilation, "peers", lambda *_, **__: [each, sharing, once])
    monkeypatch.setattr(recompilation, "TOKENS", [3, 5, 5, 7])
    monkeypatch.setattr(torch.compiler, "reset", lambda: None)
    return seen


def test_they_are_counted_after_the_first_number_of_tokens(compiled):
    assert recompilations(CASE, CPU) == {"each": "2 of 3", "sharing": "2 of 3", "once": "0 of 3"}


def test_who_takes_too_long_says_how_far_it_came(compiled, monkeypatch):
    now = iter(range(100))
    monkeypatch.setattr(recompilation.time, "perf_counter", lambda: next(now))
    counted = recompilations(CASE, CPU, seconds=1.5)
    assert counted["each"] == "1 of 1, stopped"
    assert compiled == {3, 5}


def test_who_ends_with_the_last_was_not_stopped(compiled):
    assert recompilations(CASE, CPU, seconds=1e9)["each"] == "2 of 3"


def fails_from(tokens, name):
    def call(x, coeff):
        if len(x) >= tokens:
            raise torch.OutOfMemoryError("much")
        return x * coeff.sum()

    return Peer(name, call, ASCENDING)


@pytest.mark.parametrize(("tokens", "said"), [(7, "0 of 2, out of memory"), (3, "0 of 0, out of memory")])
def test_a_failure_of_another_is_said(compiled, monkeypatch, tokens, said):
    monkeypatch.setattr(recompilation, "peers", lambda *_, **__: [fails_from(tokens, "another")])
    assert recompilations(CASE, CPU) == {"another": said}


def test_ours_may_not_fail(compiled, monkeypatch):
    monkeypatch.setattr(recompilation, "peers", lambda *_, **__: [fails_from(7, "ours")])
    with pytest.raises(torch.OutOfMemoryError):
        recompilations(CASE, CPU)


def test_there_are_64_different_numbers_of_tokens():
    assert len(set(recompilation.TOKENS)) == 64
