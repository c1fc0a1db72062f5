"""L(N) = E + A N^-alpha, and how well a few sizes determine it."""

import math
from statistics import mean

import numpy as np
import pytest
from scipy import stats

from repro.claims.statistics.noise import pooled
from repro.claims.statistics.scaling import Fit, Parameter, fit
from tests.claims.statistics.simulated import budget, share

THREE = (4.8e6, 10.6e6, 25.7e6)
FIVE = (*THREE, 85e6, 308e6)
E, A, ALPHA = 2.0, 400.0, 0.34
NOISE = (-0.003, 0.001, 0.002)  # of three seeds


def law(size):
    return E + A * size**-ALPHA


def losses(sizes, noise=NOISE):
    return [[law(size) + each for each in noise] for size in sizes]


def values(found):
    return found.floor.value, found.factor.value, found.exponent.value


@pytest.mark.parametrize("sizes", [THREE, FIVE])
def test_losses_that_follow_a_law_give_it_back(sizes):
    found = fit(sizes, losses(sizes))
    assert values(found) == pytest.approx((E, A, ALPHA), rel=1e-6)
    assert found.sizes == len(sizes)
    for parameter, truth in zip((found.floor, found.factor, found.exponent), (E, A, ALPHA), strict=True):
        assert parameter.low < truth < parameter.high


def test_through_three_sizes_the_law_passes_whatever_they_are():
    """Also one whose floor is below 0, which no sizes of this range can exclude."""
    found = fit((1, 2, 4), [[5.0, 5.0], [4.0, 4.0], [3.1, 3.1]])
    floor, factor, exponent = values(found)
    assert [floor + factor * size**-exponent for size in (1, 2, 4)] == pytest.approx([5, 4, 3.1])
    assert floor < 0
    assert found.misfit is None


def test_sizes_may_come_in_any_order_and_unit():
    found, other = fit(THREE, losses(THREE)), fit([size / 1e6 for size in THREE[::-1]], losses(THREE[::-1]))
    assert other.floor.value == pytest.approx(found.floor.value, rel=1e-6)
    assert (other.exponent.low, other.exponent.high) == pytest.approx((found.exponent.low, found.exponent.high))
    assert other.factor.value == pytest.approx(found.factor.value * 1e6**-ALPHA, rel=1e-5)


def test_fewer_than_three_sizes_have_no_fit():
    assert fit(THREE[:2], losses(THREE[:2])) is None
    assert fit((), ()) is None


def test_with_one_seed_a_size_nothing_is_known_of_the_error():
    found = fit(THREE, losses(THREE, noise=(0.0,)))
    assert values(found) == pytest.approx((E, A, ALPHA), rel=1e-6)
    assert (found.floor.low, found.floor.high) == (-math.inf, math.inf)
    assert (found.factor.low, found.factor.high) == (0, math.inf)
    assert (found.exponent.low, found.exponent.high) == (0, math.inf)


def test_one_size_with_seeds_is_enough_to_know_the_noise():
    of_seeds = losses(THREE, noise=(0.0,))
    of_seeds[0] = losses(THREE)[0]
    assert fit(THREE, of_seeds).exponent.high < math.inf


def test_without_noise_the_interval_is_a_point_that_holds_the_value():
    found = fit(THREE, losses(THREE, noise=(0.0, 0.0)))
    for parameter in (found.floor, found.factor, found.exponent):
        assert parameter.low <= parameter.value <= parameter.high
        assert parameter.high - parameter.low < 1e-5 * parameter.value


@pytest.mark.parametrize("of_sizes", [(4.7, 4.7, 4.7), (4.0, 4.5, 5.0), (4.0, 5.0, 4.5)])
@pytest.mark.parametrize("noise", [0.0, 0.001])
def test_losses_that_do_not_fall_have_no_law_and_bound_none(of_sizes, noise):
    found = fit(THREE, [[loss - noise, loss, loss + noise] for loss in of_sizes])
    endless = Parameter(None, 0.0, math.inf)
    assert found == Fit(Parameter(None, -math.inf, math.inf), endless, endless, None, 3)


def test_losses_that_fall_as_fast_as_the_logarithm_of_size_bound_the_exponent_from_above_alone():
    """No floor is in sight: any below some value goes with an exponent that is small enough."""
    found = fit(THREE, [[10 - 0.4 * math.log(size) + each for each in NOISE] for size in THREE])
    assert found.exponent.low == 0
    assert found.exponent.high < 1
    assert found.floor.low == -math.inf
    assert found.floor.high < 10 - 0.4 * math.log(THREE[-1])
    assert found.factor.high == math.inf


def test_losses_that_fall_after_the_smallest_size_alone_have_no_value():
    found = fit(THREE, [[loss - 0.001, loss + 0.001] for loss in (4.0, 3.0, 3.0)])
    assert values(found) == (None, None, None)
    assert found.exponent.high == math.inf
    assert found.exponent.low > 1
    assert found.floor.low == pytest.approx(3, abs=0.01)
    assert found.floor.high == pytest.approx(3, abs=0.01)


def test_four_times_the_seeds_halve_an_interval():
    """As of a mean, and a little more, since the variance too is better known."""
    few, many = (fit(FIVE, losses(FIVE, noise=NOISE * times)) for times in (2, 8))
    ratio = (few.exponent.high - few.exponent.low) / (many.exponent.high - many.exponent.low)
    assert ratio == pytest.approx(2, rel=0.15)


def test_the_intervals_end_where_the_best_law_left_is_too_far_off():
    """By brute force over all laws, with the exponent on a grid and the other two by linear least squares."""
    of_seeds = losses(FIVE)
    noise = pooled(of_seeds)
    bound = noise.sd**2 * stats.t.ppf(0.975, noise.degrees) ** 2
    found, means = fit(FIVE, of_seeds), np.array([mean(each) for each in of_seeds])

    def squares(exponent, *, floor=None, factor=None):
        columns = {"factor": np.array(FIVE) ** -exponent, "floor": np.ones(5)}
        given = {name: value for name, value in (("floor", floor), ("factor", factor)) if value is not None}
        target = means - sum(value * columns.pop(name) for name, value in given.items())
        free = np.stack(list(columns.values()), 1)
        return 3 * np.sum((free @ np.linalg.lstsq(free, target, rcond=None)[0] - target) ** 2)

    for end in (found.exponent.low, found.exponent.high):
        assert squares(end) == pytest.approx(bound, rel=1e-4)
    exponents = np.linspace(found.exponent.low, found.exponent.high, 2001)
    for end in (found.floor.low, found.floor.high):
        assert min(squares(exponent, floor=end) for exponent in exponents) == pytest.approx(bound, rel=1e-3)
    for end in (found.factor.low, found.factor.high):
        assert min(squares(exponent, factor=end) for exponent in exponents) == pytest.approx(bound, rel=1e-3)


@pytest.mark.parametrize(
    ("sizes", "of_seeds", "why"),
    [
        (THREE, [[1.0], [2.0]], "3 sizes and losses of 2"),
        (THREE, [[1.0], [], [2.0]], "0 losses of a size: it takes 1 or more"),
        (THREE, [[1.0], [math.nan], [2.0]], "losses of a size have to be finite, not nan"),
        ((1, 1, 2), [[1.0]] * 3, r"sizes have to be above 0 and all different, not \[1.0, 1.0, 2.0\]"),
        ((0, 1, 2), [[1.0]] * 3, r"sizes have to be above 0 and all different, not \[0.0, 1.0, 2.0\]"),
        ((1, math.inf, 2), [[1.0]] * 3, "sizes have to be finite, not inf"),
    ],
)
def test_what_cannot_be_fitted_is_refused(sizes, of_seeds, why):
    with pytest.raises(ValueError, match=f"^{why}$"):
        fit(sizes, of_seeds)


def simulated(sizes, seeds, sd, *, draws=400, bend=0.0):
    """Fits of studies; ``bend`` adds to the middle size what no law has."""
    noise = sd * np.random.default_rng(seeds).normal(size=(draws, len(sizes), seeds))
    means = np.array([[law(size)] for size in sizes])
    means[len(sizes) // 2] += bend
    return [fit(sizes, study) for study in (means + noise).tolist()]


@pytest.mark.parametrize(("sizes", "seeds", "sd"), [(THREE, 6, 0.003), (THREE, 3, 0.03), (FIVE, 2, 0.01)])
def test_the_intervals_hold_the_truth_in_nineteen_of_twenty(sizes, seeds, sd):
    found = simulated(sizes, seeds, sd)
    for name, truth in (("floor", E), ("factor", A), ("exponent", ALPHA)):
        parameters = [getattr(each, name) for each in found]
        assert share(each.low <= truth <= each.high for each in parameters) > 0.95 - budget(0.95, 400), name


def test_much_noise_leaves_the_floor_open_in_most_studies_and_says_so():
    assert share(each.floor.low == -math.inf for each in simulated(THREE, 3, 0.1)) > 0.5


def test_of_losses_that_follow_a_law_one_study_in_twenty_finds_a_misfit():
    assert share(each.misfit < 0.05 for each in simulated(FIVE, 3, 0.01)) == pytest.approx(0.05, abs=budget(0.05, 400))


def test_losses_that_follow_no_law_are_found_to():
    assert share(each.misfit < 0.05 for each in simulated(FIVE, 3, 0.01, bend=0.05, draws=50)) > 0.9
