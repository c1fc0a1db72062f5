"""The noise of seeds, pooled over arms."""

import math
from statistics import stdev

import numpy as np
import pytest
from scipy import stats

from repro.claims.statistics.noise import pooled
from tests.claims.statistics.simulated import DRAWS, budget, share


def test_by_hand_each_group_varies_around_its_own_mean():
    """Squares 2 around 2, and 2 around 5, with 2 + 1 degrees of freedom."""
    found = pooled([[1, 2, 3], [4, 6]])
    assert (found.sd, found.degrees) == (pytest.approx(math.sqrt(4 / 3)), 3)
    low, high = (math.sqrt(4 / stats.chi2.isf(tail, 3)) for tail in (0.025, 0.975))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_of_one_group_it_is_its_standard_deviation():
    assert pooled([[2.1, 2.3, 2.2]]).sd == pytest.approx(stdev([2.1, 2.3, 2.2]))


def test_groups_of_one_or_none_say_nothing():
    assert pooled([[1, 2, 3], [9], []]) == pooled([[1, 2, 3]])


def test_equal_values_have_no_noise():
    found = pooled([[0.1, 0.1, 0.1], [0.3, 0.3]])
    assert (found.sd, found.low, found.high) == (0, 0, 0)


@pytest.mark.parametrize("unit", [1e-300, 1e300])
def test_the_unit_of_the_values_is_of_no_consequence(unit):
    found, same = pooled([[1 * unit, 2 * unit], [5 * unit, 9 * unit]]), pooled([[1, 2], [5, 9]])
    assert [found.sd / unit, found.low / unit, found.high / unit] == pytest.approx([same.sd, same.low, same.high])


@pytest.mark.parametrize(
    ("groups", "why"),
    [
        ([], "no group has two values: there is no noise to tell"),
        ([[1.0], [2.0]], "no group has two values: there is no noise to tell"),
        ([[1.0, math.nan]], "values of a group have to be finite, not nan"),
    ],
)
def test_what_tells_no_noise_is_refused(groups, why):
    with pytest.raises(ValueError, match=f"^{why}$"):
        pooled(groups)


def test_the_interval_holds_the_truth_in_nineteen_of_twenty():
    """Three arms of three seeds, with means that differ far more than seeds do."""
    losses = 0.003 * np.random.default_rng(0).normal(size=(DRAWS, 3, 3)) + np.array([[2.0], [2.1], [3.0]])
    found = [pooled(study) for study in losses.tolist()]
    assert share(each.low <= 0.003 <= each.high for each in found) == pytest.approx(0.95, abs=budget(0.95))
