"""The smallest difference that a number of pairs can show."""

import math

import pytest
from scipy import stats

from repro.claims.statistics.paired import paired
from repro.claims.statistics.power import smallest_detectable
from tests.claims.statistics.simulated import budget, share, studies


@pytest.mark.parametrize("pairs", [2, 3, 4, 6, 10, 100])
def test_the_noncentral_t_of_scipy_gives_it_the_power_asked_for(pairs):
    """Its left tail, which scipy gives as nan here and there, is below 1e-4 at these powers."""
    for level, power in ((0.05, 0.8), (0.01, 0.9), (0.05, 0.5)):
        errors = smallest_detectable(1.0, pairs, level=level, power=power) * math.sqrt(pairs)
        bound = stats.t.isf(level / 2, pairs - 1)
        assert stats.nct.sf(bound, pairs - 1, errors) == pytest.approx(power, abs=1e-3)


@pytest.mark.parametrize(("pairs", "sds"), [(2, 11.550), (3, 3.264), (6, 1.435), (12, 0.889)])
def test_few_pairs_show_several_standard_deviations_and_many_less_than_one(pairs, sds):
    assert smallest_detectable(1.0, pairs) == pytest.approx(sds, abs=1e-3)


def test_of_very_many_pairs_it_is_what_the_normal_distribution_gives():
    assert smallest_detectable(1.0, 100_000) == pytest.approx((1.959964 + 0.841621) / math.sqrt(1e5), rel=1e-4)


def test_it_is_proportional_to_the_noise_and_none_of_no_noise():
    assert smallest_detectable(0.003, 3) == pytest.approx(0.003 * smallest_detectable(1.0, 3))
    assert smallest_detectable(0.0, 3) == 0


def test_more_power_and_a_stricter_level_ask_for_more():
    assert smallest_detectable(1.0, 3) < smallest_detectable(1.0, 3, power=0.9)
    assert smallest_detectable(1.0, 3) < smallest_detectable(1.0, 3, level=0.01)


@pytest.mark.parametrize("pairs", [2, 3, 6])
def test_such_a_difference_is_found_in_four_studies_of_five(pairs):
    difference = smallest_detectable(0.003, pairs)
    found = share(paired(each).p < 0.05 for each in studies(pairs, pairs, mean=difference, sd=0.003))
    assert found == pytest.approx(0.8, abs=budget(0.8))


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"pairs": 1}, "1 pairs: a test takes 2 or more"),
        ({"sd": -0.1}, "a standard deviation is finite and not below 0, not -0.1"),
        ({"sd": math.nan}, "a standard deviation is finite and not below 0, not nan"),
        ({"power": 1.0}, "expected 0 < level < power < 1, not level 0.05 and power 1.0"),
        ({"level": 0.9}, "expected 0 < level < power < 1, not level 0.9 and power 0.8"),
    ],
)
def test_what_cannot_be_asked_is_refused(arguments, why):
    with pytest.raises(ValueError, match=f"^{why}$"):
        smallest_detectable(**{"sd": 0.003, "pairs": 3} | arguments)
