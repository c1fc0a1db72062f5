"""Theorem 3's networks: the partition, the Taylor polynomials, and that they are mixed exactly."""

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import comb

import numpy as np
import pytest

from repro.theory.algebra import Polynomials, Sawtooth
from repro.theory.ball import Member
from repro.theory.construction import POLYRELU, SQUARES, Kind, build, coefficients, indices, splines, trapezoids
from repro.theory.networks import Network
from repro.theory.sobolev import Cubic, mixture


@dataclass(frozen=True)
class Polynomial:
    """``sum_k coefficients[k] s^k`` of the sum of the inputs, of degree below its smoothness."""

    coefficients: tuple[Fraction, ...]
    dimensions: int

    @property
    def smoothness(self):
        return len(self.coefficients)

    def taylor(self, s):
        c = (*self.coefficients, 0, 0)
        return [c[0] + c[1] * s + c[2] * s**2, c[1] + 2 * c[2] * s, 2 * c[2]][: self.smoothness]


@pytest.fixture(params=[trapezoids, splines])
def partition(request):
    return request.param


def points(dimensions):
    parts = [Fraction(k, 7) for k in range(-7, 8, 3)]
    return [[x] for x in parts] if dimensions == 1 else [[x, y] for x in parts for y in parts]


@pytest.mark.parametrize("cells", [1, 2, 5])
def test_a_partition_of_unity_has_the_sum_one_and_is_not_negative(partition, cells):
    network = Network(1)
    parts = partition(network, network.input(0), cells)
    assert sorted(parts) == list(range(-cells, cells + 1))
    for k in range(-60, 61):
        values = network.exact(list(parts.values()), [Fraction(k, 60)])
        assert sum(values) == 1
        assert min(values) >= 0


def test_a_part_is_zero_beyond_its_reach():
    cells = 4
    for kind in (POLYRELU, SQUARES):
        network = Network(1)
        parts = kind.partition(network, network.input(0), cells)
        for k in range(-100, 101):
            x = Fraction(k, 100)
            for m, part in parts.items():
                if abs(x - Fraction(m, cells)) >= kind.reach / cells:
                    assert network.exact([part], [x]) == [0]


@pytest.mark.parametrize("kind", [POLYRELU, SQUARES], ids=lambda kind: kind.name)
@pytest.mark.parametrize("dimensions", [1, 2])
def test_a_polynomial_of_a_degree_below_the_smoothness_comes_back_exactly(kind, dimensions):
    function = Polynomial((Fraction(1, 3), Fraction(-1, 2), Fraction(2, 5)), dimensions)
    built = build(kind, function, 2)
    for x in points(dimensions):
        assert built.network.exact([built.output], x) == [function.taylor(sum(x))[0]]


@pytest.mark.parametrize(("smoothness", "dimensions"), [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2), (3, 2)])
def test_the_network_is_the_mixture_of_taylor_polynomials(smoothness, dimensions):
    cubic = Cubic(smoothness, dimensions)
    built = build(POLYRELU, cubic, 2)
    for x in points(dimensions)[::2]:
        assert built.network.exact([built.output], x) == [mixture(cubic, 2, x)]


def test_a_network_of_products_that_err_is_not_the_mixture():
    kind = Kind("ReLU", partial(Sawtooth, height=2), trapezoids, POLYRELU.reach)
    cubic = Cubic(3, 1)
    built = build(kind, cubic, 2)
    off = [built.network.exact([built.output], x) != [mixture(cubic, 2, x)] for x in points(1)]
    assert any(off)


@pytest.mark.parametrize("kind", [POLYRELU, SQUARES], ids=lambda kind: kind.name)
@pytest.mark.parametrize("dimensions", [1, 2])
def test_errors_stay_within_the_bound(kind, dimensions):
    x = np.random.default_rng(0).uniform(-1, 1, (2000, dimensions))
    for smoothness in (1, 2, 3):
        sine = Member.sine(smoothness, dimensions, frequency=4.0, phase=0.3)
        error = np.abs(build(kind, sine, 3)(x) - sine(x)).max()
        assert 0 < error <= kind.remainder(smoothness, dimensions, 3)


def test_a_multi_index_stands_for_each_coefficient():
    for smoothness in (1, 2, 3):
        for dimensions in (1, 2, 3):
            assert len(indices(smoothness, dimensions)) == comb(smoothness + dimensions - 1, dimensions)


def test_coefficients_are_of_powers_of_the_inputs():
    found = coefficients(Cubic(3, 1), (1,), 2)  # of (s^3 - s / 2) / 6 at 1/2
    at, value, slope, bend = Fraction(1, 2), Fraction(-1, 48), Fraction(1, 24), Fraction(1, 4)
    assert found == {(0,): value - slope * at + bend * at**2, (1,): slope - 2 * bend * at, (2,): bend}


def test_the_smallest_network_has_the_size_that_one_counts_by_hand():
    """N = 1: three points, six kinks with a weight, a coefficient and a bias, all of which the output reads, n = 1."""
    size = build(POLYRELU, Member.sine(1, 1, frequency=4.0, phase=0.3), 1).size
    assert (size.neurons, size.parameters, size.depth) == (8, 8 * 4, 1)


def test_squares_use_no_other_power_and_polyrelu_none_above_two():
    sine = Member.sine(3, 1, frequency=4.0, phase=0.3)
    squares = build(SQUARES, sine, 3)
    assert {neuron.coefficients for neuron in squares.network._neurons} == {(0, 0, 1)}
    lower = Kind("order 2", partial(Polynomials, order=2), trapezoids, POLYRELU.reach)
    assert build(lower, sine, 3).size == build(POLYRELU, sine, 3).size


def test_a_smoothness_above_three_is_not_built():
    with pytest.raises(AssertionError, match="above 3"):
        build(POLYRELU, Member.sine(4, 1, frequency=4.0, phase=0.3), 2)
