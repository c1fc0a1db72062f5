"""Two models on the same items: McNemar's exact test and an interval over items."""

from functools import cache

import numpy as np
import pytest
from scipy import stats

from repro.claims.statistics.items import items
from tests.claims.statistics.simulated import budget, share


def answers(only_a, only_b, *, both=0, neither=0):
    a = [True] * only_a + [False] * only_b + [True] * both + [False] * neither
    b = [False] * only_a + [True] * only_b + [True] * both + [False] * neither
    return a, b


def test_by_hand_six_against_two():
    """Of eight that tell them apart two or fewer go one way: (1 + 8 + 28) / 256, twice."""
    found = items(*answers(6, 2, both=30, neither=2))
    assert (found.n, found.only_a, found.only_b, found.difference) == (40, 6, 2, 0.1)
    assert found.p == pytest.approx(2 * 37 / 256)
    assert found.low < 0 < 0.1 < found.high


@pytest.mark.parametrize(("only_a", "only_b"), [(1, 0), (10, 0), (7, 7), (30, 51), (400, 470)])
def test_p_is_that_of_the_binomial_test_of_scipy(only_a, only_b):
    p = items(*answers(only_a, only_b, both=100)).p
    assert p == pytest.approx(stats.binomtest(only_a, only_a + only_b).pvalue, rel=1e-9)


def test_items_that_both_or_neither_answer_do_not_change_p():
    assert items(*answers(9, 2)).p == items(*answers(9, 2, both=500, neither=300)).p


def test_where_no_item_tells_them_apart_p_is_1_and_the_interval_is_not_a_point():
    found = items(*answers(0, 0, both=60, neither=40))
    assert (found.difference, found.p) == (0, 1)
    assert found.low < 0 < found.high
    assert found.high < 0.05


def test_exchanging_the_models_turns_the_sign():
    a, b = answers(40, 25, both=300, neither=135)
    found, turned = items(a, b), items(b, a)
    assert (turned.difference, turned.p) == (-found.difference, found.p)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=2 / 500)  # items, of 10,000 draws


def test_the_same_answers_give_the_same_interval_again():
    assert items(*answers(12, 5, both=80)) == items(*answers(12, 5, both=80))


def test_answers_may_be_arrays_or_0_and_1():
    a, b = answers(6, 2, both=30, neither=2)
    assert items(np.array(a), np.array(b)) == items([int(each) for each in a], [float(each) for each in b])


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        ([True], [True, False], "1 answers of one model and 2 of the other: they have to be to the same items"),
        ([True], [True], "1 items: it takes 2 or more"),
        ([], [], "0 items: it takes 2 or more"),
        ([1, 0.5], [1, 0], "an answer is right or wrong, 1 or 0, not 0.5"),
        ([1, 0], [1, float("nan")], "an answer is right or wrong, 1 or 0, not nan"),
    ],
)
def test_what_are_no_answers_to_the_same_items_is_refused(a, b, why):
    with pytest.raises(ValueError, match=f"^{why}$"):
        items(a, b)


def simulated(n, only_a, only_b, *, draws=1000):
    """Outcomes for models that alone are right on these shares of all items there are."""
    counts = np.random.default_rng(n).multinomial(n, [only_a, only_b, 1 - only_a - only_b], draws)
    return [counted(*each) for each in counts.tolist()]


@cache
def counted(only_a, only_b, both):
    return items(*answers(only_a, only_b, both=both))


@pytest.mark.parametrize(("n", "apart"), [(100, 0.1), (500, 0.2), (500, 0.02)])
def test_models_that_are_equally_good_are_told_apart_in_at_most_one_of_twenty(n, apart):
    found = share(each.p < 0.05 for each in simulated(n, apart / 2, apart / 2))
    assert found < 0.05 + budget(0.05, 1000)


@pytest.mark.parametrize(("n", "only_a", "only_b"), [(100, 0.1, 0.05), (500, 0.08, 0.04), (500, 0.01, 0.0)])
def test_the_interval_holds_the_truth_in_nineteen_of_twenty(n, only_a, only_b):
    found = share(each.low <= only_a - only_b <= each.high for each in simulated(n, only_a, only_b))
    assert found > 0.95 - budget(0.95, 1000)
