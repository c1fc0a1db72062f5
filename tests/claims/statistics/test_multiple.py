"""Holm's adjustment: one wrong finding in twenty studies, however many tests a study makes."""

import math

import numpy as np
import pytest

from repro.claims.statistics.multiple import holm
from repro.claims.statistics.paired import paired
from tests.claims.statistics.simulated import budget, share

ARMS, PAIRS, STUDIES = 5, 6, 1500


def test_by_hand_the_smallest_counts_as_often_as_there_are_tests_and_the_largest_once():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])


def test_the_order_is_the_one_given():
    ps = [0.2, 0.001, 0.03, 0.004]
    assert holm(ps[::-1]) == holm(ps)[::-1]
    assert holm(ps) == pytest.approx([0.2, 0.004, 0.06, 0.012])


def test_none_is_above_1_and_equal_ones_stay_equal():
    assert holm([0.4, 0.6, 0.9]) == [1, 1, 1]
    assert holm([0.01, 0.01]) == [0.02, 0.02]
    assert holm([0.0, 1.0]) == [0, 1]


def test_one_test_stands_as_it_is_and_none_are_none():
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_what_is_no_p_is_refused(p):
    with pytest.raises(ValueError, match=f"^a p lies between 0 and 1, not {p}$"):
        holm([0.5, p])


def adjusted(seed, *, effect=0.0, shared=0.0):
    """Adjusted p of arms against one other: the first differs by ``effect``; ``shared`` is that one's own noise."""
    generator = np.random.default_rng(seed)
    differences = generator.normal(size=(STUDIES, ARMS, PAIRS)) - shared * generator.normal(size=(STUDIES, 1, PAIRS))
    differences[:, 0] += effect
    return np.array([holm([paired(arm).p for arm in study]) for study in differences.tolist()])


def test_studies_of_arms_that_are_all_alike_find_anything_in_one_of_twenty():
    assert share((adjusted(0) < 0.05).any(1)) == pytest.approx(0.05, abs=budget(0.05, STUDIES))


def test_arms_that_are_compared_with_one_and_the_same_are_wrong_no_more_often():
    assert share((adjusted(1, shared=1.0) < 0.05).any(1)) < 0.05 + budget(0.05, STUDIES)


def test_a_difference_that_is_there_makes_the_others_no_more_often_wrong():
    found = adjusted(2, effect=4.0) < 0.05
    assert share(found[:, 0]) > 0.95
    assert share(found[:, 1:].any(1)) == pytest.approx(0.05, abs=budget(0.05, STUDIES))
