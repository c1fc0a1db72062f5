"""PolyReLU neurons as ReLU neurons within a tolerance."""

import numpy as np
import pytest

from repro.theory.networks import Network
from repro.theory.random_networks import Drawn, tolerances
from repro.theory.replacement import clipped, height, lipschitz, monomial, neuron

X = np.random.default_rng(0).uniform(-1, 1, (3000, 1))


@pytest.mark.parametrize("tolerance", [0.9, 0.25, 0.24, 1e-3, 4.0**-9, 1e-12])
def test_a_tower_is_as_high_as_its_tolerance_needs_and_no_higher(tolerance):
    assert 4.0 ** -(height(tolerance) + 1) <= tolerance
    assert height(tolerance) == 0 or 4.0 ** -height(tolerance) > tolerance


@pytest.mark.parametrize("coefficients", [(0.2, 0.8), (0, 0, 1), (0.1, -0.3, 0.5, 0.1), (0, 0, 0, 0, -1), (0.5,)])
@pytest.mark.parametrize("tolerance", [0.3, 1e-3, 1e-9])
def test_a_neuron_is_within_its_tolerance_and_within_its_range(coefficients, tolerance):
    network = Network(1)
    x = network.input(0)
    ours, truth = network.evaluate([neuron(network, x, coefficients, tolerance), network.neuron(x, coefficients)], X).T
    assert np.abs(ours - truth).max() <= tolerance
    assert np.abs(ours).max() <= 1


def test_a_neuron_without_higher_powers_needs_no_tower_and_is_exact():
    network = Network(1)
    ours = neuron(network, network.input(0), (0.25, 0.5), 0.1)
    assert network.size([ours]).neurons == 1 + 2  # ReLU, and the two that clip
    assert network.exact([ours], [0.5])[0] == 0.5


def test_a_monomial_errs_by_the_tolerance_for_each_multiplication():
    network = Network(3)
    points = np.random.default_rng(1).uniform(0, 1, (3000, 3))
    values = network.evaluate([monomial(network, [network.input(k) for k in (0, 1, 1, 2)], 1e-3)], points)[:, 0]
    truth = points[:, 0] * points[:, 1] ** 2 * points[:, 2]
    assert 1e-5 < np.abs(values - truth).max() <= 3e-3
    assert 0 <= values.min() <= values.max() <= 1


def test_clipping_takes_the_nearer_end():
    network = Network(1)
    values = network.evaluate([clipped(network, network.input(0), -1, 2)], np.array([[-5.0], [-1], [0.5], [2], [9]]))
    assert values.ravel().tolist() == [-1, -1, 0.5, 2, 2]


@pytest.mark.parametrize(
    ("coefficients", "slope"),
    [((3, 1), 1), ((0, 0, 1), 2), ((0, 3, -3, 1), 3), ((0, 0, 1.5, -1), 0.75), ((0.5,), 0), ((0, -2, 0, 1), 2)],
)
def test_the_slope_is_the_largest_at_an_end_or_where_it_turns(coefficients, slope):
    assert lipschitz(coefficients) == pytest.approx(slope, abs=1e-12)


def test_a_drawn_network_keeps_to_the_conditions_of_theorem_2():
    drawn = Drawn.of(3, depth=3, width=4, inputs=2)
    units = [unit for layer in drawn.layers for unit in layer]
    assert [len(layer) for layer in drawn.layers] == [4, 4, 4]
    assert all(sum(map(abs, unit.weights)) + abs(unit.bias) == pytest.approx(1, abs=1e-12) for unit in units)
    assert all(sum(map(abs, unit.coefficients)) == pytest.approx(1, abs=1e-12) for unit in units)
    assert drawn.alpha == max(lipschitz(unit.coefficients) for unit in units)
    assert drawn.flattened(0.5).alpha == pytest.approx(0.5, rel=1e-12)


def test_tolerances_add_up_to_what_the_output_may_be_off():
    allowed = tolerances(0.1, depth=4, alpha=2.0)
    assert allowed == pytest.approx([0.1 / 4 / 8, 0.1 / 4 / 4, 0.1 / 4 / 2, 0.1 / 4])
    off = 0.0
    for tolerance in allowed:
        off = 2.0 * off + tolerance  # what a layer sees is off, its slope makes it more, and it errs itself
    assert off == pytest.approx(0.1)
