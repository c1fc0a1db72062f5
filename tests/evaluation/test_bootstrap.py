"""Intervals of a ratio over documents: what they cover, and when there is none."""

import math

import numpy as np
import pytest

from repro.evaluation import bootstrap
from repro.evaluation.bootstrap import Interval, exp, intervals


def documents(random, n):
    """Nats and tokens of documents of very different lengths, of which a token takes three nats."""
    tokens = np.ceil(random.lognormal(5, 1, n)).astype(np.int64)
    return tokens * random.normal(3, 0.5, n), tokens


def test_an_interval_holds_the_truth_as_often_as_it_says():
    random, times = np.random.default_rng(1), 400
    found = [intervals(*documents(random, 60))[0] for _ in range(times)]
    held = sum(interval.low <= 3 <= interval.high for interval in found)
    # Percentiles over 60 documents were seen to hold it 94 times in 100; chance moves 400 draws by 2.4 % at 2 sigma.
    assert 0.90 <= held / times <= 0.98


def test_it_is_as_wide_as_the_delta_method_says():
    nats, tokens = documents(np.random.default_rng(0), 2000)
    (found,) = intervals(nats, tokens)
    ratio = nats.sum() / tokens.sum()
    error = np.sqrt(np.sum((nats - ratio * tokens) ** 2)) / tokens.sum()
    assert found.low < ratio < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)  # of 1,000 resamples


def test_documents_are_drawn_and_not_tokens():
    long, short = np.full(4, 1000), np.full(400, 10)
    of_few = intervals(long * np.array([2.0, 3.0, 3.0, 4.0]), long)[0]
    of_many = intervals(short * np.tile([2.0, 3.0, 3.0, 4.0], 100), short)[0]
    assert of_few.high - of_few.low > 5 * (of_many.high - of_many.low)


def test_there_is_none_of_one_document_nor_of_no_bytes():
    assert intervals(np.array([3.0]), np.array([1])) == [None]
    per_token, per_byte = intervals(np.array([3.0, 4.0]), np.array([1, 1]), np.array([0, 0]))
    assert (per_token.low, per_token.high, per_byte) == (3.0, 4.0, None)


def test_the_same_numbers_come_out_again_and_two_models_resamples_are_pairs():
    nats, tokens = documents(np.random.default_rng(3), 50)
    ours, theirs = intervals(nats, tokens)[0], intervals(2 * nats, tokens)[0]
    assert intervals(nats, tokens)[0] == ours
    assert theirs.low == pytest.approx(2 * ours.low, rel=1e-12)


def test_however_many_are_drawn_at_a_time_they_are_drawn_from_all(monkeypatch):
    nats, tokens = documents(np.random.default_rng(4), 64)
    monkeypatch.setattr(bootstrap, "_DRAWN", 100)  # one resample at a time
    (found,) = intervals(nats, tokens)
    monkeypatch.undo()
    (also,) = intervals(nats, tokens)
    assert (found.low, found.high) == (also.low, also.high)


def test_an_exponential_beyond_floats_is_infinite():
    assert exp(1000.0) == math.inf
    assert Interval(0.0, 1000.0).exp() == Interval(1.0, math.inf)
