"""What the figures of ranks show, as their lines say it."""

import numpy as np
import pytest

from repro.analysis.figures.ranks import over_layers, over_training, spectra
from repro.analysis.figures.style import pixels
from repro.analysis.matrices import Ranks


def dense(shift=0.0):
    return [Ranks(layer, part, *[0.9 + 0.01 * layer + shift] * 3) for layer in (0, 1, 2) for part in ("up", "down")]


def test_a_part_is_a_line_over_layers():
    (axes,) = over_layers(dense(), "a run, step 5").axes
    up, down, one = axes.lines
    assert (up.get_label(), down.get_label()) == ("up", "down")
    np.testing.assert_allclose(up.get_xdata(), [0, 1, 2])
    np.testing.assert_allclose(up.get_ydata(), [0.90, 0.91, 0.92])
    assert set(one.get_ydata()) == {1.0}, "a random matrix"
    assert axes.get_title() == "a run, step 5"


def test_experts_have_bars_from_the_lowest_to_the_highest():
    experts = [Ranks(0, "up", 0.9, 0.8, 0.95), Ranks(1, "up", 0.8, 0.7, 0.85)]
    (axes,) = over_layers(experts, "").axes
    (bars,) = axes.collections
    ends = [segment[:, 1] for segment in bars.get_segments()]
    np.testing.assert_allclose(ends, [[0.8, 0.95], [0.7, 0.85]])


def test_lines_of_different_parts_differ_without_colours():
    (axes,) = over_layers([Ranks(0, f"part {i}", 0.9, 0.9, 0.9) for i in range(6)], "").axes
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in axes.lines[:6]}
    assert len(looks) == 6
    image = pixels(axes.figure)
    assert image.ndim == 2
    assert image.min() < 64


def test_over_training_each_part_has_a_panel_with_the_mean_over_layers():
    up, down = over_training({20: dense(0.02), 10: dense()}, "a run").axes
    assert (up.get_title(), down.get_title()) == ("up", "down")
    line = up.lines[0]
    np.testing.assert_allclose(line.get_xdata(), [10, 20])
    np.testing.assert_allclose(line.get_ydata(), [0.91, 0.93])
    assert up.get_ylim() == down.get_ylim()


@pytest.mark.parametrize("parts", [1, 3, 6])
def test_singular_values_have_a_panel_a_part_on_one_scale(parts):
    falling = np.linspace(1.6, 0.4, 20)
    drawn = spectra({f"part {i}": {0: falling, 7: falling**2} for i in range(parts)}, "a run")
    panels = [axes for axes in drawn.axes if axes.axison]
    assert len(panels) == parts
    assert {axes.get_ylim() for axes in panels} == {panels[0].get_ylim()}
    first, last, _ = panels[0].lines
    assert (first.get_label(), last.get_label()) == ("layer 0", "layer 7")
    np.testing.assert_allclose(first.get_xdata()[[0, -1]], [2.5, 97.5])


def test_what_is_zero_is_left_out_and_does_not_stretch_the_scale():
    (axes,) = spectra({"up": {0: np.array([2.0, 1.0, 1e-9, 0.0])}}, "").axes
    assert np.isnan(axes.lines[0].get_ydata()).tolist() == [False, False, False, True]
    assert axes.get_ylim()[0] == 2**-8


def test_zeros_alone_can_be_drawn():
    assert (pixels(spectra({"up": {0: np.zeros(4)}}, "")) < 255).any()
    assert (pixels(over_layers([Ranks(0, "up", 0.0, 0.0, 0.0)], "")) < 255).any()
