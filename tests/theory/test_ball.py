"""The functions that Theorem 3 is tried on lie in its ball, and their derivatives are right."""

from fractions import Fraction

import numpy as np
import pytest

from repro.theory.ball import Member

GRID = np.linspace(-1, 1, 4001)


@pytest.fixture(params=[1, 2, 3])
def drawn(request):
    return Member.drawn(request.param, waves=5, seed=3)


def test_a_sine_that_meets_a_crest_lies_on_the_sphere_of_the_ball():
    for smoothness in (1, 2, 3):
        for dimensions in (1, 2):
            sine = Member.sine(smoothness, dimensions, frequency=4.0, phase=0.3)
            assert sine.norm() == pytest.approx(1, abs=1e-12)


def test_a_sine_of_a_low_frequency_does_not(drawn):
    assert Member.sine(2, 1, frequency=0.5, phase=0.3).norm() > 1  # sin / w^n itself is above 1


def test_no_derivative_of_a_drawn_function_is_above_one(drawn):
    for order in range(drawn.smoothness + 1):
        assert np.abs(drawn.derivative(order, GRID)).max() <= 1
    assert np.abs(drawn.derivative(drawn.smoothness, GRID)).max() > 0.99


def test_the_norm_is_never_below_what_a_finer_grid_shows(drawn):
    finer = np.linspace(-1, 1, 200_001)
    seen = max(np.abs(drawn.derivative(order, finer)).max() for order in range(drawn.smoothness + 1))
    assert drawn.norm() >= seen


def test_derivatives_are_those_of_the_function(drawn):
    h = 1e-4
    for order in range(drawn.smoothness):
        rise = (drawn.derivative(order, GRID + h) - drawn.derivative(order, GRID - h)) / (2 * h)
        third = sum(a * w ** (order + 3) for a, w in zip(np.abs(drawn.amplitudes), drawn.frequencies, strict=True))
        assert np.abs(rise - drawn.derivative(order + 1, GRID)).max() <= h**2 / 6 * third + 1e-10


def test_taylor_gives_derivatives_below_the_smoothness():
    sine = Member.sine(3, 2, frequency=4.0, phase=0.3)
    s = 0.25
    expected = [np.sin(4 * s + 0.3) / 64, np.cos(4 * s + 0.3) / 16, -np.sin(4 * s + 0.3) / 4]
    assert sine.taylor(Fraction(1, 4)) == pytest.approx(expected, abs=1e-15)


def test_it_is_a_function_of_the_sum_of_the_inputs():
    sine = Member.sine(1, 2, frequency=4.0, phase=0.3)
    assert sine(np.array([[0.5, -0.25], [0.0, 0.25]])) == pytest.approx([np.sin(1.3) / 4] * 2)


def test_draws_repeat_by_seed():
    assert Member.drawn(2, waves=4, seed=1) == Member.drawn(2, waves=4, seed=1)
    assert Member.drawn(2, waves=4, seed=1) != Member.drawn(2, waves=4, seed=2)
