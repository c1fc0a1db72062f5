"""Slopes on logarithms."""

import pytest

from repro.theory.fitting import curve, per_unit, slope


def test_a_power_has_its_exponent():
    assert slope([1, 2, 4, 8], [5 * x**-1.5 for x in (1, 2, 4, 8)]) == pytest.approx(-1.5, abs=1e-12)


def test_growth_is_that_of_a_line():
    assert per_unit([0, 1, 2], [3, 5, 7]) == pytest.approx(2, abs=1e-12)


def test_a_curve_keeps_its_points_and_says_what_was_expected():
    fitted = curve("cubes", [1, 2, 3], [1, 8, 27], expected=3.0)
    assert (fitted.x, fitted.y, fitted.expected) == ((1, 2, 3), (1, 8, 27), 3)
    assert fitted.slope == pytest.approx(3, abs=1e-12)
