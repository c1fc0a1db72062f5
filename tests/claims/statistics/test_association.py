"""Slopes inside groups, and between them."""

import math

import numpy as np
import pytest
from scipy import stats

from repro.claims.statistics.association import between, within
from tests.claims.statistics.simulated import budget, share

OPPOSED = {  # inside each y falls by 2 with x; from group to group it rises by 3
    "relu": [(0, 2), (1, 0), (2, -2)],
    "gelu": [(10, 32), (11, 30), (12, 28)],
    "polynorm": [(20, 62), (21, 60), (22, 58)],
}


def test_by_hand_two_groups_share_a_slope_around_intercepts_of_their_own():
    """Centred: x is -1, 0, 1 and -0.5, 0.5; x y sums to 3, x x to 2.5; what is left has 5 - 2 - 1 degrees."""
    found = within({"a": [(0, 1), (1, 2), (2, 3.5)], "b": [(0, 3), (1, 4)]})
    assert (found.slope, found.n, found.degrees) == (pytest.approx(1.2), 5, 2)
    left = sum((y - 1.2 * x) ** 2 for x, y in [(-1, -7 / 6), (0, -1 / 6), (1, 4 / 3), (-0.5, -0.5), (0.5, 0.5)])
    assert found.high - found.slope == pytest.approx(4.302653 * math.sqrt(left / 2 / 2.5), rel=1e-6)


def test_of_one_group_it_is_the_regression_of_scipy():
    points = np.random.default_rng(0).normal(size=(8, 2))
    found, expected = within({"all": points.tolist()}), stats.linregress(*points.T)
    assert (found.slope, found.p) == pytest.approx((expected.slope, expected.pvalue), rel=1e-9)
    assert found.high - found.low == pytest.approx(2 * stats.t.ppf(0.975, 6) * expected.stderr, rel=1e-9)


def test_inside_groups_and_between_them_slopes_may_be_opposed():
    assert within(OPPOSED).slope == pytest.approx(-2)
    assert between(OPPOSED).slope == pytest.approx(3)
    assert (within(OPPOSED).degrees, between(OPPOSED).degrees, between(OPPOSED).n) == (5, 1, 3)


def test_shifting_a_group_changes_nothing_inside():
    points = {name: [(x, y + 0.1 * x * x) for x, y in points] for name, points in OPPOSED.items()}
    moved = points | {"relu": [(x + 5, y - 7) for x, y in points["relu"]]}
    assert within(moved).slope == pytest.approx(within(points).slope)
    assert within(moved).p == pytest.approx(within(points).p)


def test_a_group_counts_once_between_groups_however_many_points_it_has():
    assert between(OPPOSED | {"relu": OPPOSED["relu"] * 4}).slope == pytest.approx(between(OPPOSED).slope)


def test_points_on_a_line_have_a_slope_without_error():
    found = within({"a": [(0.0, 0.0), (1.0, 2.0)], "b": [(0.0, 5.0), (1.0, 7.0)]})
    assert (found.slope, found.low, found.high, found.p) == (2, 2, 2, 0)
    flat = within({"a": [(0.0, 1.0), (1.0, 1.0), (2.0, 1.0)]})
    assert (flat.slope, flat.p) == (0, 1)


@pytest.mark.parametrize(
    ("of", "groups", "why"),
    [
        (within, {}, "0 points around 0 intercepts leave no degree of freedom for a slope"),
        (within, {"a": [(0, 1), (1, 2)]}, "2 points around 1 intercepts leave no degree of freedom for a slope"),
        (within, {"a": [(0.1, 1), (0.1, 2), (0.1, 9)], "b": [(2, 1), (2, 3)]}, "x does not vary: there is no slope"),
        (within, {"a": [(0, 1), (1, math.nan), (2, 3)]}, "points have to be finite, not nan"),
        (
            between,
            {"a": [(0, 1)], "b": [(1, 2)]},
            "2 points around 1 intercepts leave no degree of freedom for a slope",
        ),
        (between, {"a": [], "b": []}, "0 points around 1 intercepts leave no degree of freedom for a slope"),
    ],
)
def test_what_has_no_slope_is_refused(of, groups, why):
    with pytest.raises(ValueError, match=f"^{why}$"):
        of(groups)


def simulated(slope, *, draws=2000):
    """Ranks and losses of three activations of four runs: both differ by activation, ``slope`` is that inside."""
    generator = np.random.default_rng(0)
    ranks = generator.normal(size=(draws, 3, 4)) + np.array([[0.0], [5.0], [9.0]])
    inside = ranks - ranks.mean(2, keepdims=True)
    losses = slope * inside + np.array([[3.0], [2.0], [2.5]]) + 0.01 * generator.normal(size=(draws, 3, 4))
    points = np.stack([ranks, losses], -1).tolist()
    return [within(dict(enumerate(study))) for study in points]


def test_where_nothing_goes_together_inside_one_study_in_twenty_finds_a_slope():
    assert share(each.p < 0.05 for each in simulated(0.0)) == pytest.approx(0.05, abs=budget(0.05, 2000))


def test_the_interval_holds_the_truth_in_nineteen_of_twenty():
    found = share(each.low <= -0.02 <= each.high for each in simulated(-0.02))
    assert found == pytest.approx(0.95, abs=budget(0.95, 2000))
