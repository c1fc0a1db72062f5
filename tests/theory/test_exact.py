"""What PolyReLU networks compute exactly; that a wrong construction is found; and the sizes, counted by hand."""

from dataclasses import replace
from fractions import Fraction

import pytest

from repro.activations import reference
from repro.theory import exact
from repro.theory.algebra import Polynomials
from repro.theory.exact import equation_3, equations_5_6, lemma_1, theorem_1
from repro.theory.layers import Layers
from repro.theory.piecewise import PiecewiseLinear
from repro.theory.powers import lemma_a4, rebuilt
from repro.theory.translation import corollary_a1, lemma_a3

OFF = Fraction(1, 10**9)


@pytest.fixture(scope="module")
def found():
    return {finding.id: finding for finding in exact.findings()}


def test_all_of_them_hold_in_the_papers_order(found):
    places = "equation-3 lemma-1 equations-5-6 theorem-1 lemma-a3 corollary-a1 lemma-a4"
    assert list(found) == places.split()
    assert all(finding.holds for finding in found.values())


def test_a_second_run_finds_the_same_numbers(found):
    assert lemma_1() == found["lemma-1"]
    assert lemma_a3() == found["lemma-a3"]


def test_polynorms_constant_is_one_over_the_root_of_the_width():
    numbers = equation_3((4, 16)).numbers
    assert {name: numbers[name] for name in ("constant_at_4", "constant_at_16")} == {
        "constant_at_4": 0.5,
        "constant_at_16": 0.25,
    }
    assert "at d = 16 a_0 counts 0.25 of itself" in equation_3((4, 16)).differs


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x, coeff: coeff[0] / len(x) ** 0.5 + sum(a * x**i for i, a in enumerate(coeff[1:], start=1)),
        lambda x, coeff: reference.polynorm(x, coeff, eps=0.0, norm="rms"),
        lambda x, coeff: reference.polynorm(x, coeff, norm="l2") + 1e-9 * x,
        lambda x, coeff: coeff[0] + reference.polynorm(x, coeff * (coeff != coeff[0]), eps=0.0, norm="l2"),
    ],
    ids=["no norm", "root mean square", "slightly off", "a constant of its own"],
)
def test_another_sum_than_that_of_normed_powers_is_found(wrong):
    assert equation_3((4, 16)).holds
    assert not equation_3((4, 16), wrong).holds


def test_a_polynomial_takes_two_neurons_and_one_is_constant_on_a_half_line(found):
    assert found["lemma-1"].numbers == {"values": 600, "different": 0, "neurons_of_polynomial": 2}
    assert "it gives 1/3 at -1 and 1/3 at -2, where the polynomial is 191/42 and 403/21" in found["lemma-1"].differs


def test_a_polynomial_with_a_coefficient_slightly_off_is_found():
    wrong = lemma_1(lambda algebra, a, c: Polynomials.polynomial(algebra, a, [*c[:-1], c[-1] + OFF]))
    assert not wrong.holds
    assert wrong.numbers["different"] == 200


def test_a_polynomial_of_one_neuron_is_found():
    assert not lemma_1(lambda algebra, a, c: algebra.network.neuron(a, c)).holds


def test_the_power_0_of_both_halves_is_2_and_the_wrong_sign_is_found(found):
    assert found["equations-5-6"].numbers["sum_at_i_0"] == 2
    assert not equations_5_6(sign=1).holds
    assert not found["equations-5-6"].as_stated


def test_powers_that_start_at_1_hold_as_they_are_stated(monkeypatch):
    monkeypatch.setattr(exact, "_halves", lambda x, i, sign: x**i)
    assert equations_5_6().as_stated


def test_the_number_of_values_is_of_the_points(monkeypatch):
    monkeypatch.setattr(exact, "_POINTS", 2)
    assert theorem_1().measured.startswith("0 of 10 values differ")


def test_relu_networks_keep_their_neurons_and_square_their_parameters(found):
    neurons, parameters = found["theorem-1"].curves
    assert neurons.y == tuple(3 * width for width in neurons.x)
    # Weights and biases of three layers and the output, and a coefficient for each unit.
    assert parameters.y == tuple(4 * k + 2 * k * (k + 1) + k + 1 + 3 * k for k in parameters.x)
    assert 1.8 < parameters.slope < 2


@pytest.mark.parametrize("coefficients", [(0, 1 + OFF, 0, 0), (0, 1, OFF, 0), (OFF, 1)])
def test_a_unit_that_is_not_quite_relu_is_found(coefficients):
    assert not theorem_1(coefficients).holds


def test_piecewise_linear_activations_and_relu_become_each_other(found):
    assert found["lemma-a3"].numbers["different"] == 0
    assert found["lemma-a3"].numbers["ReLU6_off_at_1000"] > 1
    assert "LeakyReLU: 12 as 24 of ReLU and back as 24" in found["lemma-a3"].measured


def test_a_slope_slightly_off_is_found_in_lemma_a3_and_corollary_a1():
    def off(function, network, z):
        return replace(function, slopes=(*function.slopes[:-1], function.slopes[-1] + OFF)).built(network, z)

    assert not lemma_a3(to_relu=off).holds
    assert not corollary_a1(off).holds


def test_layers_that_were_made_for_a_smaller_domain_are_found():
    assert not lemma_a3(to_rho=lambda layers, rho, bound: layers.of(rho, bound=bound / 100)).holds


def test_equal_layers_of_too_many_units_do_not_fit():
    def wasteful(layers, rho, bound):
        made = layers.of(rho, bound=bound)
        last = made.hidden[-1]
        outputs = tuple((*row[:-1], *[Fraction(0)] * len(last), row[-1]) for row in made.outputs)
        return Layers((*made.hidden[:-1], last + last), outputs)

    assert not lemma_a3(to_rho=wasteful).holds


def test_a_function_of_m_breakpoints_takes_m_plus_1_neurons(found):
    numbers = found["corollary-a1"].numbers
    assert [numbers[f"neurons_of_{m}"] for m in (1, 3, 7, 15, 31)] == [2, 4, 8, 16, 32]


def test_equal_functions_of_too_many_neurons_do_not_fit_corollary_a1():
    def twice(function, network, z):
        return (function.built(network, z) + PiecewiseLinear.built(function, network, z)) * Fraction(1, 2)

    assert not corollary_a1(twice).holds


def test_powers_take_as_many_neurons_as_the_logarithm(found):
    finding = found["lemma-a4"]
    shared, apart = finding.curves
    assert shared.slope < 1.1
    assert 1.7 < apart.slope <= 2
    # 1023 = 2^10 - 1: nine squares of two neurons, and nine products of four.
    assert finding.numbers["neurons_of_1023_at_order_2"] == 9 * 2 + 9 * 4
    # 3^k - 1 = 22...2 in base 3: k - 1 cubes and k squares of two neurons, k - 1 products of four.
    k = 64
    assert shared.y[-1] == 2 * (k - 1) + 2 * k + 4 * (k - 1)


def test_powers_with_a_chain_for_each_digit_are_equal_and_within_the_stated_size():
    assert lemma_a4(rebuilt).holds


def test_a_wrong_power_is_found():
    assert not lemma_a4(lambda algebra, a, n: algebra.power(a, n) + (a * OFF if n == 1023 else 0)).holds
