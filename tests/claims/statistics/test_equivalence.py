"""Two one-sided tests: alike within a margin."""

import math

import pytest
from scipy import stats

from repro.claims.statistics.equivalence import alike, beyond
from repro.claims.statistics.paired import paired
from tests.claims.statistics.simulated import budget, share, studies


@pytest.mark.parametrize("mean", [-0.004, 0.0, 0.003, 0.02])
def test_p_is_the_larger_one_of_two_one_sided_tests_of_scipy(mean):
    (differences,) = studies(1, 5, draws=1, mean=mean, sd=0.002)
    sides = [
        stats.ttest_1samp(differences, -0.005, alternative="greater").pvalue,
        stats.ttest_1samp(differences, 0.005, alternative="less").pvalue,
    ]
    assert alike(differences, 0.005).p == pytest.approx(max(sides), rel=1e-9)


def test_the_interval_is_of_90_percent():
    found, expected = alike([1, 2, 4], 9), stats.ttest_1samp([1, 2, 4], 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx(tuple(expected))


def test_p_is_below_5_percent_exactly_where_the_interval_lies_within_the_margin():
    found = [alike(differences, 1.0) for differences in studies(2, 4, draws=500, sd=0.6)]
    assert {each.p < 0.05 for each in found} == {True, False}
    assert all((each.p < 0.05) == (each.low > -1 and each.high < 1) for each in found)


def test_exchanging_the_arms_changes_no_p():
    assert alike([0.1, 0.3], 1).p == alike([-0.1, -0.3], 1).p


def test_equal_differences_are_alike_inside_the_margin_and_not_on_it():
    assert alike([0.5, 0.5], 1.0) == alike([0.5, 0.5, 0.5], 1.0)
    assert (alike([0.5, 0.5], 1.0).p, alike([1.0, 1.0], 1.0).p, alike([-2.0, -2.0], 1.0).p) == (0, 0.5, 1)
    assert alike([0.0, 0.0], 1e-300).p == 0


@pytest.mark.parametrize("margin", [0.0, -0.005, math.nan, math.inf])
def test_a_margin_that_is_none_is_refused(margin):
    with pytest.raises(ValueError, match=f"^a margin has to be above 0 and finite, not {margin}$"):
        alike([0.1, 0.2], margin)


def test_too_few_differences_are_refused():
    with pytest.raises(ValueError, match="1 differences: it takes 2 or more"):
        alike([0.1], 0.005)


@pytest.mark.parametrize("mean", [0.005, -0.005])
@pytest.mark.parametrize("pairs", [2, 3, 6])
def test_arms_that_differ_by_the_margin_are_called_alike_in_one_study_of_twenty(mean, pairs):
    found = share(alike(each, 0.005).p < 0.05 for each in studies(3, pairs, mean=mean, sd=0.0005))
    assert found == pytest.approx(0.05, abs=budget(0.05))


def test_with_much_noise_arms_that_differ_by_the_margin_are_called_alike_less_often():
    assert share(alike(each, 0.005).p < 0.05 for each in studies(4, 3, mean=0.005, sd=0.01)) < 0.05


def test_a_difference_that_is_not_found_is_not_yet_alike():
    """With three pairs and noise of the margin's size most studies neither find a difference nor exclude one."""
    found = studies(5, 3, draws=1000, sd=0.005)
    assert share(paired(each).p > 0.05 and alike(each, 0.005).p > 0.05 for each in found) > 0.5


def test_arms_that_are_alike_are_found_to_be_where_the_noise_allows():
    assert share(alike(each, 0.005).p < 0.05 for each in studies(6, 6, draws=1000, sd=0.003)) > 0.9


def test_beyond_the_margin_is_below_5_percent_exactly_where_the_95_percent_interval_lies_there():
    found = [(beyond(each, 1.0), paired(each)) for mean in (-2, 2) for each in studies(5, 4, draws=300, mean=mean)]
    assert {p < 0.05 for p, _ in found} == {True, False}
    assert all((p < 0.05) == (of.low > 1 or of.high < -1) for p, of in found)


def test_beyond_is_twice_the_smaller_one_of_two_one_sided_tests_of_scipy():
    (differences,) = studies(1, 5, draws=1, mean=-0.02, sd=0.002)
    side = stats.ttest_1samp(differences, -0.005, alternative="less").pvalue
    assert beyond(differences, 0.005) == pytest.approx(2 * side, rel=1e-9)
    assert beyond([0.001, -0.001], 0.005) == 1


@pytest.mark.parametrize("margin", [1e-6, 0.005])
@pytest.mark.parametrize("pairs", [2, 6])
def test_arms_that_differ_by_the_margin_are_called_apart_in_one_study_of_twenty_at_most(pairs, margin):
    found = share(beyond(each, margin) < 0.05 for each in studies(6, pairs, mean=margin, sd=0.0005))
    assert found < 0.05 + budget(0.05)


def test_beyond_no_margin_is_refused():
    with pytest.raises(ValueError, match=r"^a margin has to be above 0"):
        beyond([0.1, 0.2], 0.0)
