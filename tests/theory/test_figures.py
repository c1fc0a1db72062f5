"""Figures are log-log, say slopes, and tell lines apart without colours."""

import numpy as np
import pytest

from repro.analysis.figures.style import pixels
from repro.theory.figures import draw, number, png
from repro.theory.findings import Finding
from repro.theory.fitting import curve, spread

X = (10, 100, 1000)
LINES = (
    curve("PolyReLU", X, (1e-1, 1e-3, 1e-5), paper=-1.5, ours=-2.0),
    curve("ReLU", X, (1e-1, 2e-2, 4e-3)),
    spread("trained", X, [(0.1, 0.2), (0.05, 0.1), (0.02, 0.06)]),
)


@pytest.fixture
def drawn():
    labels = {"x_label": "parameters", "y_label": "largest error", "title": "errors fall"}
    return draw(Finding("id", "Theorem 3", "", True, "", curves=LINES, **labels))


def test_both_axes_are_logarithmic_and_named(drawn):
    (axes,) = drawn.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("parameters", "largest error")
    assert axes.get_title(loc="left") == "Theorem 3: errors fall"


def test_the_legend_has_fitted_slopes_the_papers_and_ours(drawn):
    said = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert said[0] == "PolyReLU: slope \N{MINUS SIGN}2.00, paper \N{MINUS SIGN}1.50, ours \N{MINUS SIGN}2.00"
    assert said[1] == "ReLU: slope \N{MINUS SIGN}0.70"
    assert {"slope that the paper gives", "slope that the construction here gives (ours)"} <= set(said)
    assert any(each.startswith("trained: slope") for each in said)


def test_it_is_grey_and_not_blank(drawn):
    picture = pixels(drawn)
    assert picture.min() < 30
    assert (picture == 255).mean() > 0.8
    (axes,) = drawn.axes
    assert len({(line.get_color(), line.get_linestyle(), line.get_marker()) for line in axes.get_lines()}) > 6


def test_a_short_axis_has_more_than_one_tick():
    finding = Finding("id", "A", "", True, "", curves=(curve("a", (3, 4, 7), (1.1, 2.1, 4.6)),))
    (axes,) = draw(finding).axes
    low, high = axes.get_xlim()
    assert sum(low <= tick <= high for tick in axes.get_xticks()) >= 1
    low, high = axes.get_ylim()
    assert sum(low <= tick <= high for tick in axes.get_yticks()) >= 2


def test_what_lies_within_bars_is_a_spread(drawn):
    (axes,) = drawn.axes
    ends = [np.array(each.get_segments()) for each in axes.collections]
    assert len(ends) == 1
    assert ends[0][:, :, 1] == pytest.approx(np.array([LINES[2].low, LINES[2].high]).T)


def test_a_png_is_written(drawn):
    assert png(drawn).startswith(b"\x89PNG")


def test_a_slope_has_a_true_minus():
    assert number(-0.5) == "\N{MINUS SIGN}0.50"
