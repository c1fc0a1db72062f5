"""How much sooner one run reaches the last loss of another."""

import math

import numpy as np
import pytest

from repro.claims.statistics.curves import Line, speedup
from tests.claims.statistics.simulated import budget, share

TOKENS = np.arange(1, 21) * 5e6


def law(x):
    return 3 + 0.5 * (x / 1e8) ** -0.4


def line(loss, x=TOKENS):
    return Line(tuple(np.asarray(x, float)), tuple(np.asarray(loss, float)))


def straight(*points):
    x, loss = zip(*points, strict=True)
    return Line(x, loss)


@pytest.mark.parametrize("faster", [1.05, 1.3, 2.0])
def test_a_run_whose_losses_come_that_much_sooner_has_that_ratio(faster):
    """Read from a chord of a curve that bends: (1 + 0.4) h^2 / 8 x^2 of it, with points h apart, 0.2 % at the half."""
    a, b = line(law(faster * TOKENS)), line(law(TOKENS))
    assert speedup([(a, b)]).ratio == pytest.approx(faster, rel=2e-3)


def test_exchanging_the_arms_inverts_the_ratio_though_one_never_gets_there():
    a, b = line(law(1.3 * TOKENS)), line(law(TOKENS))
    assert min(b.loss) > a.loss[-1]
    assert speedup([(b, a)]).ratio == pytest.approx(1 / speedup([(a, b)]).ratio)


def test_by_hand_between_two_points():
    """``a`` falls to 2.5 half way from 10 to 20; ``b`` is there at 20."""
    a, b = straight((10, 3.0), (20, 2.0)), straight((10, 3.5), (20, 2.5))
    assert speedup([(a, b)]).ratio == pytest.approx(20 / 15)


def test_a_run_is_as_soon_as_itself_however_much_it_wavers():
    noisy = line(law(TOKENS) + 0.05 * np.random.default_rng(0).normal(size=20))
    assert speedup([(noisy, noisy)]).ratio == 1


def test_losses_that_rise_are_pooled_with_those_before_them():
    """3, 1, 2, 1 at 1 to 4 is 3, then 1.5 at 2.5, then 1: the dip at 2 is no loss that was reached for good."""
    a, b = straight((1, 3.0), (2, 1.0), (3, 2.0), (4, 1.0)), straight((1, 3.0), (4, 1.5))
    assert speedup([(a, b)]).ratio == pytest.approx(4 / 2.5)


def test_a_last_loss_that_rose_is_the_mean_of_its_block_on_either_side():
    b = straight((1, 3.0), (2, 2.0), (3, 1.0), (4, 1.2))  # 1.1, at 3.5
    a = straight((1, 2.0), (2, 1.1), (3, 1.05), (4, 1.0))
    assert speedup([(a, b)]).ratio == pytest.approx(3.5 / 2)


def test_losses_that_stay_are_reached_in_the_middle_of_where_they_stay():
    a, b = straight((1, 3.0), (2, 1.0), (4, 1.0), (6, 0.5)), straight((1, 3.0), (6, 1.0))
    assert speedup([(a, b)]).ratio == pytest.approx(6 / 3)


def test_ends_need_not_be_equal_where_seconds_are_counted():
    """The same losses at the same steps, each of which takes ``a`` twice as long."""
    a, b = line(law(TOKENS), 2 * TOKENS), line(law(TOKENS))
    assert speedup([(a, b)]).ratio == pytest.approx(0.5)


def test_the_unit_of_x_is_of_no_consequence():
    a, b = law(1.2 * TOKENS), law(TOKENS)
    by_step = speedup([(line(a, TOKENS / 65536), line(b, TOKENS / 65536))])
    assert by_step.ratio == pytest.approx(speedup([(line(a), line(b))]).ratio)


def test_who_is_there_at_the_first_point_counts_with_it():
    assert speedup([(straight((10, 1.0), (20, 0.9)), straight((10, 3.0), (20, 2.0)))]).ratio == 2


def test_ratios_of_pairs_are_averaged_as_factors():
    base = line(law(TOKENS))
    pairs = [(line(law(TOKENS), TOKENS / 2), base), (base, line(law(TOKENS), TOKENS / 2))]
    found = speedup(pairs)
    assert found.by_pair == pytest.approx((2, 0.5))
    assert (found.ratio, found.n) == (pytest.approx(1), 2)
    assert found.low == pytest.approx(1 / found.high)
    assert found.high == pytest.approx(math.exp(12.706205 * math.log(2)), rel=1e-5)


def test_one_pair_has_a_ratio_without_an_interval_and_none_has_nothing():
    found = speedup([(line(law(1.3 * TOKENS)), line(law(TOKENS)))])
    assert (found.low, found.high, found.n) == (None, None, 1)
    assert speedup([]) is None


@pytest.mark.parametrize(
    ("x", "loss", "why"),
    [
        ((1.0,), (2.0,), "1 losses of a line: it takes 2 or more"),
        ((1.0, 2.0), (2.0, math.nan), "losses of a line have to be finite, not nan"),
        ((1.0, math.inf), (2.0, 1.0), "points of a line have to be finite, not inf"),
        ((1.0, 2.0, 3.0), (2.0, 1.0), "a line of 3 points has 2 losses"),
        ((1.0, 1.0), (2.0, 1.0), "the points of a line have to rise from above 0"),
        ((0.0, 1.0), (2.0, 1.0), "the points of a line have to rise from above 0"),
    ],
)
def test_what_is_no_line_is_refused(x, loss, why):
    with pytest.raises(ValueError, match=f"^{why}$"):
        Line(x, loss)


def simulated(faster, pairs, *, draws=400, of_runs=0.003, of_evaluations=0.0015):
    """Speed-ups of studies whose runs end apart by the noise of seeds, and waver from evaluation to evaluation."""
    noise = np.random.default_rng(0).normal(size=(draws, pairs, 2, 21))
    noise = of_runs * noise[..., :1] + of_evaluations * noise[..., 1:]
    means = np.array([law(faster * TOKENS), law(TOKENS)])
    return [speedup([(line(a), line(b)) for a, b in study]) for study in means + noise]


@pytest.mark.parametrize(("faster", "pairs"), [(1.0, 3), (1.0, 6), (1.1, 3), (1.3, 6)])
def test_the_interval_holds_the_truth_in_nineteen_of_twenty(faster, pairs):
    found = share(each.low <= faster <= each.high for each in simulated(faster, pairs))
    assert found == pytest.approx(0.95, abs=budget(0.95, 400))


def test_of_arms_that_are_alike_neither_comes_out_ahead():
    """The mean logarithm of 400 studies of 3 pairs is 0 within four standard errors."""
    logs = np.log([each.ratio for each in simulated(1.0, 3, of_evaluations=0.005)])
    assert abs(logs.mean()) < 4 * logs.std() / math.sqrt(len(logs))
