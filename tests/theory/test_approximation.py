"""ReLU networks in the place of PolyReLU's: errors, sizes, and that too low a tower is found."""

from fractions import Fraction

import pytest

from repro.theory import approximation, replacement
from repro.theory.approximation import lemma_2, lemma_a1, theorem_2


@pytest.fixture(scope="module")
def found():
    return {finding.id: finding for finding in approximation.findings()}


def coarse(network, z, coefficients, tolerance):
    """Two heights too low: off by up to sixteen times the tolerance."""
    return replacement.neuron(network, z, coefficients, 16 * tolerance)


def beyond(network, z, coefficients, tolerance):
    """Near enough, and beyond [-1, 1] somewhere."""
    return replacement.neuron(network, z, coefficients, tolerance / 2) * (1 + tolerance / 4) + tolerance / 4


def test_all_of_them_hold(found):
    assert list(found) == ["lemma-2", "theorem-2", "lemma-a1"]
    assert all(finding.holds for finding in found.values())


@pytest.mark.parametrize("place", ["lemma-2", "theorem-2", "lemma-a1"])
def test_sizes_grow_with_the_logarithm_and_not_its_square(found, place):
    for curve in found[place].curves:
        ratios = [y / x for x, y in zip(curve.x, curve.y, strict=True)]
        assert 0.85 < curve.slope < 1.2
        assert max(ratios) < 1.6 * min(ratios)  # the square would make it as much more as x grows, 3.3 times or more
        assert curve.x[-1] > 2 * curve.x[0]


def test_an_e_fold_takes_the_parameters_of_half_a_step_of_each_tower(found):
    numbers = found["lemma-2"].numbers
    # A factor 4 is one step of each tower. Its two neurons have two weights and a coefficient each and one bias, and
    # both are seen by the two neurons that clip the square. Order 2 has one tower, order 3 two more.
    assert numbers["parameters_per_efold_order_2"] == pytest.approx(11 / 1.386, rel=0.05)
    assert numbers["parameters_per_efold_order_3"] == pytest.approx(33 / 1.386, rel=0.05)


@pytest.mark.parametrize("statement", [lemma_2, theorem_2])
def test_a_network_that_is_not_near_enough_is_found(statement):
    assert not statement(coarse).holds


def test_an_activation_that_leaves_its_range_is_found():
    assert not lemma_2(beyond).holds


def test_monomials_that_are_not_near_enough_are_found():
    assert not lemma_a1(lambda network, factors, eps: replacement.monomial(network, factors, 64 * eps)).holds


def test_statements_that_fail_as_written_are_told_by_what_was_computed(found, monkeypatch):
    assert [found[each].as_stated for each in ("lemma-2", "theorem-2", "lemma-a1")] == [False, False, True]
    monkeypatch.setattr(approximation, "_ONES", (0.25, 0.25, 0.25, 0.25))
    monkeypatch.setattr(approximation, "_outside", lambda: [Fraction(-1), Fraction(1)])
    assert lemma_2().as_stated
    assert theorem_2().as_stated


def test_the_papers_exponent_and_ours_are_told_apart(found):
    assert {(each.paper, each.ours) for place in ("lemma-2", "theorem-2") for each in found[place].curves} == {(2, 1)}


def test_what_differs_is_shown_by_numbers(found):
    assert "a = (1, 1, 1, 1) gives PolyReLU(1) = 4" in found["lemma-2"].differs
    assert "inputs are between -21/2 and -19/2, outside [-1, 1]" in found["theorem-2"].differs
    assert found["theorem-2"].numbers["flat_eps"] == pytest.approx(6 / 2**6)
    assert found["theorem-2"].numbers["flat_first_tolerance"] == pytest.approx(0.5 / 6 * 2**5)
    assert found["theorem-2"].numbers["flat_parameters"] > 1000
