"""What logged numbers come to."""

import itertools
import math

import pytest

from repro.claims.evidence import series


def test_the_last_twentieth_of_all_steps_is_averaged():
    points = [(step, float(step)) for step in range(10, 401, 10)]
    assert series.last_twentieth(points, 400) == 395.0  # of 390 and 400: 380 is the end of what was before
    assert series.last_twentieth(points, 400, until=205) == 195.0
    assert series.last_twentieth(points, 400, until=9) is None


def test_where_a_twentieth_has_no_logged_step_the_last_one_before_stands_for_it():
    assert series.last_twentieth([(10, 3.0), (20, 2.0)], 40, until=30) == 2.0
    assert series.last_twentieth([(40, math.nan)], 40) is None


def test_the_first_tenth_counts_for_no_speed_unless_there_is_no_other():
    assert series.speed([(1, 10.0), (10, 20.0), (50, 100.0), (60, 300.0), (70, 200.0)], 100) == 200.0
    assert series.speed([(1, 10.0)], 100) == 10.0
    assert series.speed([], 100) is None


@pytest.mark.parametrize(
    ("loss", "count"), [(3.5, 1), (3.0 + 6.5 * 0.0513, 1), (3.0 + 5.9 * 0.0513, 0), (math.nan, 1), (math.inf, 1)]
)
def test_a_spike_lies_six_deviations_above_the_twenty_losses_before(loss, count):
    """The deviation of ten times 2.95 and ten times 3.05 is 0.0513."""
    before = [(step, 3.0 + 0.05 * (-1) ** step) for step in range(20)]
    assert series.spikes([*before, (20, loss)]) == count
    assert series.spikes([*before[1:], (20, loss)]) == 0  # of nineteen nothing can be said


def test_the_largest_is_infinite_where_one_is_not_finite():
    assert series.largest([(1, 2.0), (2, 3.0)]) == 3.0
    assert series.largest([(1, math.nan), (2, 3.0)]) == math.inf
    assert series.largest([]) is None


def test_thinning_keeps_the_ends_and_spreads_the_rest_evenly():
    points = [(step, 0.0) for step in range(1000)]
    kept = [step for step, _ in series.thinned(points, 60)]
    gaps = {b - a for a, b in itertools.pairwise(kept)}
    assert (len(kept), kept[0], kept[-1]) == (60, 0, 999)
    assert gaps == {16, 17}
    assert series.thinned(points[:60], 60) == points[:60]
