"""Networks with explicit weights: affine forms, sizes counted by hand, rational and float64 values."""

from fractions import Fraction

import numpy as np
import pytest

from repro.errors import ReproError
from repro.theory import networks
from repro.theory.networks import Affine, Network, Size, total


@pytest.fixture
def two():
    """``max(x - 2 y + 1, 0)``, ``polyrelu`` of it and of x, and a neuron that leads nowhere."""
    network = Network(2)
    x, y = network.input(0), network.input(1)
    first = network.relu(x - 2 * y + 1)
    second = network.neuron(first + x * Fraction(1, 3), (Fraction(1, 2), 0, 3))
    network.relu(x + y)
    return network, [second - first, x + 5]


def reference(x, y):
    first = max(x - 2 * y + 1, 0)
    return [Fraction(1, 2) + 3 * max(first + x / 3, 0) ** 2 - first, x + 5]


POINTS = [(Fraction(a, 7), Fraction(b, 3)) for a in range(-15, 16, 5) for b in range(-4, 5, 2)]


def test_forms_add_scale_and_drop_what_cancels():
    network = Network(2)
    x, y = network.input(0), network.input(1)
    form = 2 * (x - y) + 3 - x - x
    assert (dict(form.weights), form.constant) == ({1: -2}, 3)
    assert (dict((1 - x).weights), (1 - x).constant) == ({0: -1}, 1)
    assert (dict((x * 0 + 0).weights), (x * 0).constant) == ({}, 0)


def test_many_forms_add_up_as_one_by_one():
    network = Network(3)
    forms = [network.input(k % 3) * k - k for k in range(10)]
    one_by_one = forms[0]
    for form in forms[1:]:
        one_by_one = one_by_one + form
    assert dict(total(forms).weights) == dict(one_by_one.weights) == {0: 18, 1: 12, 2: 15}
    assert total(forms).constant == one_by_one.constant == -45
    assert total([]).constant == 0


@pytest.mark.parametrize("point", POINTS)
def test_rational_values_are_those_of_the_formula(two, point):
    network, outputs = two
    assert network.exact(outputs, point) == reference(*point)


def test_float_values_are_the_rational_ones_rounded(two):
    network, outputs = two
    found = network.evaluate(outputs, np.array(POINTS, float))
    truth = np.array([[float(value) for value in reference(*point)] for point in POINTS])
    # A value up to 150, from some ten roundings: each of half a unit in the last place.
    np.testing.assert_allclose(found, truth, rtol=0, atol=10 * 150 * np.finfo(float).eps / 2)


def test_points_are_taken_in_slabs_that_change_nothing(two, monkeypatch):
    network, outputs = two
    whole = network.evaluate(outputs, np.array(POINTS, float))
    monkeypatch.setattr(networks, "_AT_A_TIME", 13)  # three points at a time
    assert np.array_equal(network.evaluate(outputs, np.array(POINTS, float)), whole)
    assert network.evaluate(outputs, np.empty((0, 2))).shape == (0, 2)


def test_a_size_counts_what_the_outputs_need_and_is_that_of_a_hand_count(two):
    network, (polynomial, affine) = two
    # first: two weights, a bias, a coefficient. second: two weights, two coefficients. The output: two weights.
    assert network.size([polynomial]) == Size(neurons=2, parameters=10, depth=2)
    assert network.size([affine]) == Size(neurons=0, parameters=2, depth=0)
    assert network.size([polynomial, affine]) == Size(neurons=2, parameters=12, depth=2)


def test_a_neuron_of_a_constant_is_a_constant():
    network = Network(1)
    constant = network.neuron(Affine({}, -2), (7, 1))
    assert (dict(constant.weights), constant.constant) == ({}, 7)
    assert network.neuron(Affine({}, 3), (1, 0, 2)).constant == 19
    assert network.size([constant]) == Size(neurons=0, parameters=1, depth=0)


def test_the_power_0_is_a_constant_on_both_sides_of_the_kink():
    network = Network(1)
    unit = network.neuron(network.input(0), (5, 1))
    assert [network.exact([unit], [x])[0] for x in (-3, 0, 3)] == [5, 5, 8]
    assert network.evaluate([unit], np.array([[-3.0], [0.0], [3.0]])).ravel().tolist() == [5, 5, 8]


def test_neurons_of_different_orders_share_a_stage():
    network = Network(1)
    x = network.input(0)
    outputs = [network.relu(x), network.neuron(x, (0, 0, 0, 1)), network.neuron(x, (2,))]
    assert network.evaluate(outputs, np.array([[2.0]])).tolist() == [[2, 8, 2]]


def test_a_float_weight_is_the_dyadic_number_it_holds():
    network = Network(1)
    assert network.exact([network.input(0) * 0.1], [1])[0] == Fraction(0.1) != Fraction(1, 10)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda n: Network(0), "at least one input, not 0"),
        (lambda n: n.input(2), "there is no input 2 of a network that has 2"),
        (lambda n: n.relu(Affine({9: 1})), "it is another network's"),
        (lambda n: n.size([Affine({2: 1})]), "that this network of 2 does not have"),
        (lambda n: n.relu(n.input(0) * float("nan")), "have to be finite"),
        (lambda n: n.neuron(n.input(0), (0, float("inf"))), "have to be finite"),
        (lambda n: n.exact([n.input(0)], [1]), "a point of 1 numbers for a network of 2 inputs"),
        (lambda n: n.evaluate([n.input(0)], np.zeros((4, 3))), r"shape \(4, 3\) for a network of 2 inputs"),
    ],
)
def test_what_does_not_fit_is_told_in_a_line(wrong, message):
    with pytest.raises(ReproError, match=message):
        wrong(Network(2))
