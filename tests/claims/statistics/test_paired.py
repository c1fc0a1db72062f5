"""Paired differences: Student's t, and why no bootstrap."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from repro.claims.statistics.paired import paired
from tests.claims.statistics.simulated import budget, share, studies


def test_three_differences_by_hand():
    """t = 2 sqrt(3) with two degrees of freedom, whose tails are 1 - t / sqrt(t^2 + 2)."""
    found = paired([1, 2, 3])
    assert (found.mean, found.sd, found.n) == (2, 1, 3)
    assert found.p == pytest.approx(1 - math.sqrt(12 / 14))
    assert found.high - 2 == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert 2 - found.low == pytest.approx(found.high - 2)


def test_two_differences_by_hand():
    """t = 1 with one degree of freedom, a Cauchy: half of it is further out."""
    found = paired([0.0, 2.0])
    assert found.p == pytest.approx(0.5)
    assert found.high == pytest.approx(1 + 12.706205, rel=1e-6)


@pytest.mark.parametrize("n", [2, 3, 6, 50])
def test_it_is_the_one_sample_t_test_of_scipy(n):
    (differences,) = studies(n, n, draws=1, mean=0.3)
    found, expected = paired(differences), stats.ttest_1samp(differences, 0)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)), rel=1e-9)


def test_equal_differences_have_a_point_for_an_interval_and_a_p():
    found = paired([0.1, 0.1, 0.1])
    assert (found.mean, found.low, found.high, found.p, found.sd) == (0.1, 0.1, 0.1, 0, 0)
    nothing = paired([0.0, 0.0])
    assert (nothing.mean, nothing.low, nothing.high, nothing.p) == (0, 0, 0, 1)


@pytest.mark.parametrize("unit", [1e-300, 1e-9, 1e9, 1e300])
def test_the_unit_of_the_differences_is_of_no_consequence(unit):
    found, same = paired([1 * unit, 2 * unit, 4 * unit]), paired([1, 2, 4])
    assert found.p == pytest.approx(same.p)
    assert [found.mean, found.low, found.high, found.sd] == pytest.approx(
        [unit * of for of in (same.mean, same.low, same.high, same.sd)], rel=1e-12, abs=0
    )


def test_exchanging_the_arms_turns_the_sign_and_nothing_else():
    found, turned = paired([0.3, -0.1, 0.7]), paired([-0.3, 0.1, -0.7])
    assert (turned.mean, turned.low, turned.high) == (-found.mean, -found.high, -found.low)
    assert (turned.p, turned.sd) == (found.p, found.sd)


@pytest.mark.parametrize(
    ("differences", "why"),
    [
        ([], "0 differences: it takes 2 or more"),
        ([0.1], "1 differences: it takes 2 or more"),
        ([0.1, math.nan], "differences have to be finite, not nan"),
        ([0.1, -math.inf, 0.2], "differences have to be finite, not -inf"),
    ],
)
def test_what_has_no_interval_is_refused(differences, why):
    with pytest.raises(ValueError, match=f"^{why}$"):
        paired(differences)


@pytest.mark.parametrize("pairs", [2, 3, 6])
def test_of_arms_that_are_alike_one_study_in_twenty_finds_a_difference(pairs):
    found = share(paired(differences).p < 0.05 for differences in studies(pairs, pairs))
    assert found == pytest.approx(0.05, abs=budget(0.05))


@pytest.mark.parametrize("pairs", [2, 3, 6])
def test_the_interval_holds_the_truth_in_nineteen_of_twenty(pairs):
    estimates = [paired(differences) for differences in studies(10 + pairs, pairs, mean=0.02, sd=0.003)]
    assert share(each.low <= 0.02 <= each.high for each in estimates) == pytest.approx(0.95, abs=budget(0.95))


def test_what_both_arms_share_at_a_seed_does_not_hide_their_difference():
    """Losses that vary by 0.03 from seed to seed and by 0.002 besides: a difference of 0.01 in 6 pairs is found."""
    generator = np.random.default_rng(0)
    shared = 0.03 * generator.normal(size=(500, 6))
    a, b = (shared + 0.002 * generator.normal(size=(500, 6)) for _ in range(2))
    assert share(paired(of_seeds.tolist()).p < 0.05 for of_seeds in a - 0.01 - b) > 0.99
    assert share(stats.ttest_ind(a - 0.01, b, axis=1).pvalue < 0.05) < 0.2


@pytest.mark.parametrize(("pairs", "misses"), [(3, 0.28), (5, 0.17)])
def test_a_bootstrap_over_few_seeds_misses_the_truth_far_too_often(pairs, misses):
    """All resamples of a study, not a draw of them; the percentages are those of the docstring."""
    resamples = np.array(list(itertools.product(range(pairs), repeat=pairs)))
    means = (np.array(of)[resamples].mean(1) for of in studies(0, pairs, draws=1000))
    low, high = np.array([np.quantile(each, [0.025, 0.975]) for each in means]).T
    assert share((low > 0) | (high < 0)) == pytest.approx(misses, abs=budget(misses, 1000))
