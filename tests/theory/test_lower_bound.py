"""Linear pieces counted, and what they say of the size of ReLU networks."""

import math
from fractions import Fraction

import numpy as np
import pytest

from repro.errors import ReproError
from repro.theory import lower_bound
from repro.theory.algebra import Sawtooth
from repro.theory.lower_bound import Tower, _error_of_lines, least_units, lemma_a2, sawtooth, theorem_2_lower
from repro.theory.networks import Network
from repro.theory.pieces import pieces

ENDS = (Fraction(-1), Fraction(1))


def test_a_kink_makes_two_pieces_and_one_that_cancels_none():
    network = Network(1)
    x = network.input(0)
    unit = network.relu(x - Fraction(1, 3))
    assert pieces(network, unit, *ENDS) == 2
    assert pieces(network, unit * 0 + x, *ENDS) == 1
    assert pieces(network, unit - network.relu(x - Fraction(1, 3)), *ENDS) == 1
    assert pieces(network, network.relu(x - 5) + x, *ENDS) == 1  # outside
    assert pieces(network, network.relu(x - Fraction(1, 3)) + network.relu(Fraction(1, 3) - x) * 3, *ENDS) == 2


def test_kinks_of_deeper_neurons_are_found_between_those_of_earlier_ones():
    network = Network(1)
    x = network.input(0)
    fold = network.relu(x) + network.relu(-x)
    assert pieces(network, network.relu(fold - Fraction(1, 2)), *ENDS) == 3
    assert pieces(network, network.neuron(fold - Fraction(1, 2), (1, 2)) + fold, *ENDS) == 4


@pytest.mark.parametrize("height", [0, 1, 2, 5])
def test_a_tower_doubles_its_pieces_with_each_step(height):
    network = Network(1)
    tower = Sawtooth(network, height).square(network.input(0))
    assert pieces(network, tower, Fraction(0), Fraction(1)) == 2**height
    assert pieces(network, tower, *ENDS) == 2 ** (height + 1)


def test_what_has_no_pieces_along_one_input_is_told_in_a_line():
    network, two = Network(1), Network(2)
    with pytest.raises(ReproError, match="a neuron has a power above 1"):
        pieces(network, network.neuron(network.input(0), (0, 0, 1)), *ENDS)
    with pytest.raises(ReproError, match="this network has 2"):
        pieces(two, two.input(0), *ENDS)


def test_least_units_are_those_of_the_pieces_that_a_square_needs():
    eps = 1e-6
    assert 2 ** least_units(eps) == pytest.approx(1 / math.sqrt(8 * eps))
    assert least_units(1.0) == 0
    assert least_units(eps, mu=1.0) == pytest.approx(least_units(2 * eps))


def test_equal_pieces_of_a_square_attain_the_bound_and_others_do_not():
    for n in (1, 4, 9):
        assert _error_of_lines(np.square, np.linspace(0, 1, n + 1)) == pytest.approx(1 / (8 * n**2), rel=1e-12)
    assert _error_of_lines(np.square, np.array([0, 0.4, 1])) == pytest.approx(0.6**2 / 8, rel=1e-12)


def test_both_statements_hold_and_say_their_numbers():
    lower, convex = theorem_2_lower(), lemma_a2()
    assert lower.holds
    assert convex.holds
    assert lower.numbers["units"] == 30  # 2 for |x|, and 2 for each of 14 steps
    assert lower.numbers["error"] == pytest.approx(4.0**-15, rel=1e-6)
    assert lower.numbers["bound"] == pytest.approx(13.5, abs=1e-6)
    assert lower.numbers["bound_times_k_l"] == pytest.approx(864, abs=1e-3)
    assert not lower.as_stated
    assert not convex.as_stated
    assert "a network of no units at all is 0.125 off" in convex.differs


def test_a_tower_of_far_too_many_units_is_not_of_the_bounds_order():
    def wasteful(network, height):
        return (sawtooth(network, height) + sawtooth(network, height)) * Fraction(1, 2)

    assert not theorem_2_lower(wasteful).holds


def test_a_count_of_pieces_that_cannot_be_is_found():
    assert not lemma_a2(lambda *given: 2 ** len(given[0].needed([given[1]])) + 1).holds
    assert lemma_a2(lambda *given: 2 ** len(given[0].needed([given[1]]))).holds


def test_a_bound_that_is_met_is_met_as_stated(monkeypatch):
    monkeypatch.setattr(lower_bound, "_DEPTH", 1)
    monkeypatch.setattr(lower_bound, "_WIDTH", 1)
    assert theorem_2_lower().as_stated
    monkeypatch.setattr(lower_bound, "_EPS", 0.5)
    assert lemma_a2().as_stated


def test_a_tower_measures_itself():
    assert Tower.of(sawtooth, 3) == Tower(3, 8, 8, 4.0**-4)
