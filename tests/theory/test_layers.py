"""Piecewise-linear functions and layered networks in rationals."""

import random
from fractions import Fraction

import pytest

from repro.errors import ReproError
from repro.theory.layers import Layers
from repro.theory.networks import Network
from repro.theory.piecewise import LEAKY_RELU, RELU, RELU6, PiecewiseLinear

ONE = Fraction(1)


@pytest.mark.parametrize(
    ("function", "values"),
    [
        (RELU, {-3: 0, 0: 0, 5: 5}),
        (LEAKY_RELU, {-3: Fraction(-3, 100), 0: 0, 5: 5}),
        (RELU6, {-3: 0, 4: 4, 6: 6, 9: 6}),
        (PiecewiseLinear((-ONE, ONE), (ONE, -2 * ONE, 3 * ONE), ONE), {-2: 0, -1: 1, 0: -1, 1: -3, 3: 3}),
    ],
)
def test_a_piecewise_linear_function_has_the_values_of_its_pieces(function, values):
    network = Network(1)
    built = function.built(network, network.input(0))
    for x, value in values.items():
        assert function(Fraction(x)) == value
        assert network.exact([built], [x])[0] == value


def test_it_takes_a_neuron_for_each_kink_and_one_for_a_left_ray():
    sizes = []
    for function in (RELU, LEAKY_RELU, RELU6):
        network = Network(1)
        sizes.append(network.size([function.built(network, network.input(0))]).neurons)
    assert sizes == [1, 2, 2]


@pytest.mark.parametrize(
    ("breaks", "slopes", "message"),
    [
        ((), (ONE,), "at least one breakpoint"),
        ((ONE, ONE), (ONE, ONE, ONE), "they ascend"),
        ((ONE,), (ONE, ONE, ONE), "1 breakpoints have 2 slopes, not 3"),
    ],
)
def test_pieces_that_do_not_fit_are_told_in_a_line(breaks, slopes, message):
    with pytest.raises(ReproError, match=message):
        PiecewiseLinear(breaks, slopes, ONE)


@pytest.fixture
def small():
    """``2 max(x - 3 y, 0) - max(-x + 1, 0) + 5``."""
    return Layers((((ONE, -3 * ONE, 0 * ONE), (-ONE, 0 * ONE, ONE)),), ((2 * ONE, -ONE, 5 * ONE),))


def test_layers_compute_what_they_say_and_count_themselves(small):
    assert small.values([Fraction(4), Fraction(1)], RELU) == [2 * 1 - 0 + 5]
    assert small.values([Fraction(-4), Fraction(1)], RELU) == [0 - 5 + 5]
    assert (small.inputs, small.units, small.weights) == (2, 2, 4 + 3)
    assert small.reach(ONE) == [4]


def test_as_a_network_they_compute_the_same(small):
    network = Network(2)
    built = small.built(network, network.relu)
    for x, y in ((4, 1), (-4, 1), (Fraction(2, 7), Fraction(-1, 3))):
        assert network.exact(built, [x, y]) == small.values([Fraction(x), Fraction(y)], RELU)


@pytest.mark.parametrize("rho", [LEAKY_RELU, RELU6])
def test_as_layers_of_another_activation_they_compute_the_same_within_the_bound_alone(small, rho):
    other = small.of(rho, bound=Fraction(10))
    assert other.units == 2 * small.units
    for point in ([Fraction(10), Fraction(-10)], [Fraction(-10), Fraction(1, 3)]):
        assert other.values(point, rho) == small.values(point, RELU)
    far = [Fraction(10**4), Fraction(-(10**4))]
    assert other.values(far, rho) != small.values(far, RELU)


def test_the_reach_of_a_layer_is_never_exceeded():
    rng = random.Random(0)
    drawn = Layers.drawn(rng, inputs=2, width=3, depth=3)
    for depth, reach in enumerate(drawn.reach(ONE), start=1):
        rows = Layers(drawn.hidden[: depth - 1], drawn.hidden[depth - 1])
        points = [[Fraction(rng.randint(-9, 9), 9) for _ in range(2)] for _ in range(50)]
        seen = [abs(z) for p in points for z in (rows.values(p, RELU) if depth > 1 else _affine(rows, p))]
        assert 0 < max(seen) <= reach


def _affine(rows, point):
    return [sum(w * x for w, x in zip(row, point, strict=False)) + row[-1] for row in rows.outputs]
