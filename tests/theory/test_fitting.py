"""Slopes on logarithms."""

import pytest

from repro.theory.fitting import curve, per_unit, slope, spread


def test_a_power_has_its_exponent():
    assert slope([1, 2, 4, 8], [5 * x**-1.5 for x in (1, 2, 4, 8)]) == pytest.approx(-1.5, abs=1e-12)


def test_growth_is_that_of_a_line():
    assert per_unit([0, 1, 2], [3, 5, 7]) == pytest.approx(2, abs=1e-12)


def test_a_curve_keeps_its_points_and_says_what_the_paper_and_we_give():
    fitted = curve("cubes", [1, 2, 3], [1, 8, 27], paper=3.0, ours=2.0)
    assert (fitted.x, fitted.y, fitted.paper, fitted.ours) == ((1, 2, 3), (1, 8, 27), 3, 2)
    assert fitted.slope == pytest.approx(3, abs=1e-12)


def test_a_spread_has_the_median_and_the_ends():
    line = spread("relu", (10, 100), [(3.0, 1.0, 2.0), (0.3, 0.2, 0.1)])
    assert (line.y, line.low, line.high) == ((2.0, 0.2), (1.0, 0.1), (3.0, 0.3))
    assert line.slope == pytest.approx(-1)
