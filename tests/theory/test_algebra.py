"""Squares, products and powers: exact of polynomial neurons, within the tower's error of ReLU ones."""

from fractions import Fraction

import numpy as np
import pytest

from repro.errors import ReproError
from repro.theory.algebra import Polynomials, Sawtooth
from repro.theory.networks import Affine, Network, Size

PAIRS = [(Fraction(a, 3), Fraction(b, 7)) for a in (-5, 0, 2, 9) for b in (-11, 0, 4)]
INSIDE = np.random.default_rng(0).uniform(-1, 1, (5000, 2))


@pytest.mark.parametrize("order", [2, 3, 4])
def test_polynomial_squares_and_products_are_exact_everywhere(order):
    network = Network(2)
    algebra, a, b = Polynomials(network, order), network.input(0), network.input(1)
    built = [algebra.square(a), algebra.product(a, b)]
    assert all(network.exact(built, pair) == [pair[0] ** 2, pair[0] * pair[1]] for pair in PAIRS)
    assert [network.size([each]).neurons for each in built] == [2, 4]


def test_a_polynomial_has_its_constant_once():
    network = Network(1)
    built = Polynomials(network, 3).polynomial(network.input(0), (7, -1, 2, 3))
    assert [network.exact([built], [x])[0] for x in (-2, 0, 2)] == [7 + 2 + 8 - 24, 7, 7 - 2 + 8 + 24]


@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 8, 9, 26, 27, 100])
def test_powers_are_exact(order, n):
    network = Network(1)
    built = Polynomials(network, order).power(network.input(0), n)
    assert all(network.exact([built], [x])[0] == x**n for x in (Fraction(-7, 4), Fraction(0), Fraction(5, 3)))


def test_a_power_takes_the_neurons_of_a_hand_count():
    network = Network(1)
    # 7 = 2 * 3 + 1: the cube (2 neurons), its square (2), and a product with x (4).
    assert network.size([Polynomials(network, 3).power(network.input(0), 7)]).neurons == 8
    assert network.size([Polynomials(network, 3).power(network.input(0), 1)]).neurons == 0


@pytest.mark.parametrize("height", [0, 1, 3, 7])
def test_a_tower_errs_by_what_theory_says_and_only_upwards(height):
    network = Network(1)
    x = np.linspace(-1, 1, 2 ** (height + 2) + 1)[:, None]  # midpoints of its pieces among them
    off = network.evaluate([Sawtooth(network, height).square(network.input(0))], x) - x**2
    assert off.max() == 4.0 ** -(height + 1)  # dyadic numbers: no rounding
    assert off.min() == 0


def test_a_towers_size_is_that_of_a_hand_count():
    network = Network(1)
    tower = Sawtooth(network, 3).square(network.input(0))
    # |x| takes two neurons and each of three steps two; the first two have a weight and a coefficient; of a step both
    # see two neurons, one has a bias, and both have a coefficient; all eight are in the output.
    assert network.size([tower]) == Size(neurons=8, parameters=2 * 2 + 3 * (4 + 1 + 2) + 8, depth=4)


@pytest.mark.parametrize("bounds", [(1, 1), (1, 3), (Fraction(1, 2), 2)])
def test_a_product_of_towers_errs_by_no_more_than_its_bounds_say(bounds):
    network = Network(2)
    a, b = network.input(0) * bounds[0], network.input(1) * bounds[1]
    values = network.evaluate([Sawtooth(network, 5).product(a, b, bounds)], INSIDE)[:, 0]
    error = np.abs(values - INSIDE[:, 0] * INSIDE[:, 1] * float(bounds[0] * bounds[1])).max()
    assert float(bounds[0] * bounds[1]) * 4.0**-7 < error <= float(bounds[0] * bounds[1]) * 4.0**-6


def test_a_product_with_0_is_0_exactly_whatever_the_tower():
    network = Network(2)
    algebra = Sawtooth(network, 2)
    built = [algebra.product(network.relu(network.input(0) - 1), network.input(1)), algebra.square(Affine({}, 0))]
    assert all(network.exact(built, [x, y]) == [0, 0] for x in (-1, Fraction(1, 3)) for y in (Fraction(-5, 7), 1))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda n: Polynomials(n, 1), "order 2 or more, not 1"),
        (lambda n: Polynomials(n, 2).polynomial(n.input(0), (0, 0, 0, 1)), "degree 3 of neurons of order 2"),
        (lambda n: Polynomials(n, 2).power(n.input(0), 0), "at least 1 is needed, not 0"),
        (lambda n: Sawtooth(n, -1), "height of at least 0, not -1"),
    ],
)
def test_what_cannot_be_built_is_told_in_a_line(wrong, message):
    with pytest.raises(ReproError, match=message):
        wrong(Network(1))
