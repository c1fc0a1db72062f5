"""Theorem 3, measured: rates are fitted, what does not hold is found, and ReLU pays where it has to."""

from dataclasses import replace

import numpy as np
import pytest

from repro.theory import sobolev
from repro.theory.construction import POLYRELU, SQUARES
from repro.theory.networks import Size
from repro.theory.rates import Rate, members, rate, ratio, relu_step, sample, step


@pytest.fixture(scope="module")
def rates():
    return {n: rate(POLYRELU, n, 1) for n in (1, 2, 3)}


def changed(of, **by):
    """A rate with something of each step multiplied by a power of its cells."""
    parts = []
    for each in of.steps:
        size = round(each.size.parameters * each.cells ** by.get("size", 0))
        error = each.error * each.cells ** by.get("error", 0)
        parts.append(replace(each, error=error, size=Size(each.size.neurons, size, each.size.depth)))
    return Rate(of.name, of.smoothness, tuple(parts))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_in_one_dimension_the_rate_is_theorys(rates, n):
    assert rates[n].fall == pytest.approx(-n, abs=0.02)
    assert rates[n].growth == pytest.approx(1, abs=0.02)
    assert rates[n].margin < 1
    assert rates[n].holds


@pytest.mark.parametrize("n", [1, 2, 3])
def test_squares_alone_reach_it_too(n):
    found = rate(SQUARES, n, 1)
    assert found.fall < -n + 0.02
    assert found.holds


def test_an_error_that_falls_too_slowly_does_not_hold(rates):
    slow = changed(rates[3], error=0.1)
    assert slow.margin <= 1
    assert not slow.holds


def test_a_size_that_grows_too_fast_does_not_hold(rates):
    assert not changed(rates[3], size=0.1).holds


def test_an_error_above_the_bound_does_not_hold(rates):
    steps = rates[2].steps
    assert not Rate("", 2, (replace(steps[0], error=2 * steps[0].bound), *steps[1:])).holds


def test_the_curve_is_of_errors_over_parameters(rates):
    curve = rates[2].curve()
    assert curve.x == (652, 1260, 2476, 4908, 9772)
    assert curve.paper == -2
    assert curve.slope == pytest.approx(-2, abs=0.05)


def test_relu_pays_a_logarithm_at_smoothness_three():
    found = ratio(3, 1)
    assert found.ratios == tuple(sorted(found.ratios))
    assert found.spread > 1.3
    assert max(found.constants) <= 1.15 * min(found.constants)


def test_relu_pays_none_below():
    assert ratio(1, 1).ratios == (1, 1, 1)
    assert ratio(2, 1).spread < 1.05


def test_relu_has_the_lowest_tower_that_is_good_enough():
    found = relu_step(2, 1, 4)
    assert (found.height, found.error <= 1.25 * step(POLYRELU, 2, 1, 4).error) == (1, True)


def test_points_are_spread_and_on_no_grid():
    points = np.sort(sample(1)[:, 0])
    assert (points[0], points[-1]) == pytest.approx((-1, 1), abs=1e-3)
    assert np.diff(points).max() <= 2 * 2 / len(points)
    assert np.diff(points).std() > 0
    assert sample(2).shape[1] == 2
    assert abs(sample(2)).max() <= 1


def test_the_functions_are_members():
    assert all(member.norm() <= 1 + 1e-12 for d in (1, 2) for n in (1, 2, 3) for member in members(n, d))


def test_findings_say_what_was_seen():
    (ball,) = sobolev.definition_1()
    (exact,) = sobolev.equation_34(points=3)
    (line,) = sobolev.theorem_3(1)
    assert all(each.holds for each in (ball, exact, line))
    assert exact.numbers == {"points": 12, "different": 0}
    assert "d^n = 1 terms" in line.differs
    assert "= 3" in line.differs
    assert [curve.name for curve in line.curves][-1] == "ReLU, n = 3"


def test_a_network_that_is_not_the_mixture_is_counted(monkeypatch):
    monkeypatch.setattr(sobolev, "mixture", lambda function, cells, x: 17)
    (exact,) = sobolev.equation_34(points=3)
    assert not exact.holds
    assert exact.numbers["different"] == 12


def test_functions_outside_the_ball_are_found(monkeypatch):
    monkeypatch.setattr(sobolev, "members", lambda n, d: [replace(members(n, d)[0], amplitudes=(1.0,))])
    assert not sobolev.definition_1()[0].holds


def leaking(kind):
    """With a partition whose sum is not 1."""
    return replace(kind, partition=lambda *given: {m: phi * 0.99 for m, phi in kind.partition(*given).items()})


def test_a_partition_that_is_none_is_found():
    assert not sobolev.theorem_3(1, leaking(POLYRELU))[0].holds
    assert not sobolev.squares(leaking(SQUARES))[0].holds


@pytest.mark.parametrize("power", [0, 2])
def test_a_ratio_that_is_constant_or_a_squared_logarithm_is_no_logarithm(power):
    def off(n, d):
        true = ratio(n, d)
        return replace(true, ratios=tuple(log**power for log in true.logarithms))

    assert not sobolev.against_relu(off)[0].holds
    assert sobolev.against_relu()[0].holds


def test_superior_fails_where_networks_are_the_same_and_would_hold_were_relus_larger_at_every_smoothness():
    def larger(n, d):
        true = ratio(n, d)
        return replace(true, ratios=tuple(2 * each for each in true.ratios))

    (found,) = sobolev.against_relu()
    assert found.holds
    assert not found.as_stated
    assert found.key.startswith("at n = 3 0.42, 0.44, 0.41 ln(1/eps) times as large in one dimension, ")
    assert found.key.endswith(" in two; at n = 1 1.00 times")
    assert sobolev.against_relu(larger)[0].as_stated


def test_what_a_rate_is_of_stands_beside_it():
    assert sobolev.theorem_3(1)[0].key == "of sines, error ~ N to the -1.00, -2.00, -3.00"


def test_no_logarithm_is_drawn_as_ours_where_the_paper_says_one():
    (found,) = sobolev.against_relu()
    assert [(each.paper, each.ours) for each in found.curves] == [(1, 0), (1, 0), (1, None), (1, None)]


def test_shares_of_equation_29_are_of_the_papers_partition():
    shares = [rate(SQUARES, n, 1).share for n in (1, 2, 3)]
    assert shares == pytest.approx([0.09, 0.28, 0.28], abs=0.005)
    assert rate(POLYRELU, 2, 1).share == pytest.approx(rate(POLYRELU, 2, 1).margin / 2)
