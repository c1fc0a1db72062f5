"""Exact tests of what has few values or no bound."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import wilcoxon

from repro.claims.statistics.signs import signs

DRAWS = 2000


@pytest.mark.parametrize("pairs", [2, 5, 6, 8, 12])
def test_without_ties_it_is_scipys_exact_signed_rank_test(pairs):
    found = np.random.default_rng(pairs).normal(0.5, 1, pairs)
    assert signs(found).p == pytest.approx(wilcoxon(found, method="exact").pvalue, rel=1e-12)


@pytest.mark.parametrize(
    "differences",
    [(1.0, 1.0, -1.0, 2.0, 2.0), (3.0, 3.0, 3.0, 3.0), (1.0, 0.0, -2.0, 0.0), (math.inf, math.inf, -1.0), (0.0, 0.0)],
)
def test_with_ties_it_counts_all_ways_to_give_signs(differences):
    apart = [abs(difference) for difference in differences if difference]
    ranks = [np.mean([i + 1 for i, other in enumerate(sorted(apart)) if other == size]) for size in apart]
    given = [1 if difference > 0 else -1 for difference in differences if difference]
    ways = [
        sum(s * r for s, r in zip(way, ranks, strict=True)) for way in itertools.product((-1, 1), repeat=len(apart))
    ]
    balance = sum(s * r for s, r in zip(given, ranks, strict=True))
    found = signs(differences)
    assert found.balance == balance
    assert found.p == np.mean([abs(way) >= abs(balance) for way in ways])


def test_which_side_pairs_lie_on_is_counted():
    found = signs([-1.0, -2.0, 0.0, 3.0, -math.inf])
    assert (found.lower, found.higher, found.n) == (3, 1, 5)
    assert found.balance == -1 - 2 + 3 - 4


@pytest.mark.parametrize(("pairs", "least"), [(1, 1.0), (2, 0.5), (3, 0.25), (5, 0.0625), (6, 0.03125)])
def test_fewer_than_six_pairs_show_nothing_however_clear(pairs, least):
    found = signs([7.0] * pairs)
    assert (found.p, found.least) == (least, least)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.2, 0.8), (0.1, 0.9), (0.7, 0.3)])
@pytest.mark.parametrize("pairs", [2, 3, 6])
def test_two_arms_of_the_same_few_values_are_told_apart_in_five_of_a_hundred_cases_at_most(shares, pairs):
    draw = np.random.default_rng(0)
    drawn = np.log(draw.choice((3.0, 10.0), (DRAWS, 2, pairs), p=shares))
    wrong = np.mean([signs(a - b).p < 0.05 for a, b in drawn])
    assert wrong < 0.05 + 4 * (0.05 * 0.95 / DRAWS) ** 0.5


@pytest.mark.parametrize("differences", [(), (1.0, math.nan)])
def test_what_is_no_number_is_refused(differences):
    with pytest.raises(ValueError, match="differences have to be numbers"):
        signs(differences)
