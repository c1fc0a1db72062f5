"""Turns are taken in order, what prepares them is not timed, and medians are medians."""

import math

import pytest

from repro.bench import timing
from repro.bench.timing import CpuClock, Timing, TurnFailed, interleaved


def turn(said, name):
    def prepare():
        said.append(f"prepare {name}")
        return lambda: said.append(name)

    return prepare


def test_every_implementation_has_its_turn_in_every_round(ticks):
    said = []
    interleaved({name: turn(said, name) for name in "ab"}, ticks, seconds=0)
    assert said[:8] == ["prepare a", "a", "prepare b", "b"] * 2
    assert said.count("a") == said.count("b") == timing.WARM_UP + timing.LEAST


def test_rounds_end_with_the_time_but_not_before_the_least_or_after_the_most(ticks):
    assert interleaved({"a": turn([], "a")}, ticks, seconds=30)["a"].rounds == 31
    assert interleaved({"a": turn([], "a")}, ticks, seconds=3)["a"].rounds == timing.LEAST
    assert interleaved({"a": turn([], "a")}, ticks, seconds=1e9)["a"].rounds == timing.MOST


def test_a_timing_is_the_median_and_the_20th_and_80th_percentiles():
    assert timing.summary([5.0, 1.0, 2.0, 4.0, 3.0, 100.0]) == Timing(3.5, 2.0, 5.0, 6)


def test_warming_up_is_not_counted(ticks):
    # The n-th thing timed takes n milliseconds, and three rounds of one turn come first.
    timed = interleaved({"a": turn([], "a")}, ticks, seconds=0)["a"]
    assert timed.median == timing.WARM_UP + (1 + timing.LEAST) / 2


def test_the_spread_is_the_80th_percentile_over_the_20th():
    assert Timing(2.0, 1.6, 2.4, 20).spread == pytest.approx(1.5)
    assert Timing(0.0, 0.0, 1.0, 20).spread == math.inf


def test_who_failed_is_said(ticks):
    def fails():
        raise ValueError("cannot")

    for prepare in (fails, lambda: fails):
        with pytest.raises(TurnFailed) as failed:
            interleaved({"a": turn([], "a"), ("b", "both"): prepare}, ticks, seconds=0)
        assert failed.value.key == ("b", "both")
        assert isinstance(failed.value.__cause__, ValueError)


def test_time_is_the_processors():
    clock, done = CpuClock(), []
    milliseconds = clock.time(lambda: done.append(clock.now()))
    assert len(done) == 1
    assert 0 <= milliseconds() < 1000
