"""The filter of repetitions, held to a count of them one by one."""

import pytest
import torch

from repro.data.repetition import repeats


def times(tokens, period):
    """How often the longest run of this period goes through it; 0 where no token is the one a period before."""
    longest = run = 0
    for token, before in zip(tokens[period:], tokens, strict=False):
        run = run + 1 if token == before else 0
        longest = max(longest, run)
    return (longest + period) // period if longest else 0


def one(tokens, period, at_least):
    return repeats(torch.tensor([tokens]), period, at_least).item()


@pytest.mark.parametrize("dtype", [torch.long, torch.int32, torch.uint8])
@pytest.mark.parametrize(("period", "at_least"), [(1, 3), (2, 3), (3, 4), (4, 2), (13, 5)])
def test_it_finds_what_counting_finds(period, at_least, dtype):
    tokens = torch.randint(0, 2, (400, 40), generator=torch.Generator().manual_seed(0))
    expected = [any(times(row, p) >= at_least for p in range(1, period + 1)) for row in tokens.tolist()]
    assert repeats(tokens.to(dtype), period, at_least).tolist() == expected
    assert any(expected)


@pytest.mark.parametrize("period", [1, 2, 7, 13])
@pytest.mark.parametrize("at", ["the beginning", "the middle", "the end"])
def test_a_run_of_32_is_one_and_a_token_less_is_none(period, at):
    """OLMo's own limit: (r + p) // p >= 32, wherever the run is."""
    other = list(range(1000, 1000 + 50))
    before, after = {"the beginning": ([], other), "the middle": (other, other), "the end": (other, [])}[at]
    run = list(range(period)) * 32
    assert one(before + run + after, 13, 32)
    assert not one(before + run[1:] + after, 13, 32)
    assert not one(before + run + after, period - 1, 32) or period == 1


def test_a_longer_period_is_not_looked_for():
    run = list(range(14)) * 40
    assert not one(run, 13, 32)
    assert one(run, 14, 32)


def test_a_multiple_of_a_period_is_one_too_but_seldom_enough():
    assert one([7] * 64, 2, 32)
    assert not one([7, 8] * 16, 4, 32)


def test_each_sequence_is_judged_by_itself():
    tokens = torch.arange(3 * 64).view(3, 64)
    tokens[1] = 5
    assert repeats(tokens, 13, 32).tolist() == [False, True, False]
    assert not repeats(torch.full((2, 31), 5), 13, 32).any(), "31 tokens are too few"


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_sequence_shorter_than_a_period_has_no_repetition_of_it(length):
    assert one([1] * length, 13, 2) == (length >= 2)
