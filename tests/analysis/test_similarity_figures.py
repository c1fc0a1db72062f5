"""Figures of similarity and of inputs: grey, with numbers where they can be read, and every line told apart."""

import numpy as np
import pytest
import torch

from repro.analysis.figures import style
from repro.analysis.figures.inputs import PANELS, Panel, by_layer, evenly, histograms
from repro.analysis.figures.similarity import WRITTEN, Curve, HeatMap, distances, heat_maps
from repro.analysis.inputs import Row
from repro.analysis.values import Histogram


@pytest.mark.parametrize(("layers", "numbers"), [(WRITTEN, WRITTEN**2), (WRITTEN + 1, 0)])
def test_squares_have_their_numbers_where_there_is_room(layers, numbers):
    axes, *_ = heat_maps([HeatMap("stream", np.eye(layers))]).axes
    assert len(axes.texts) == numbers
    assert {text.get_text() for text in axes.texts} <= {"1.00", "0.00"}


def test_a_map_of_block_outputs_is_counted_from_1_and_dark_where_layers_are_alike():
    drawn = heat_maps([HeatMap("block outputs", np.array([[1.0, 0.2], [0.2, 1.0]]), 1)])
    axes, *_ = drawn.axes
    assert axes.get_xlim() == (0.5, 2.5)
    assert [text.get_color() for text in axes.texts] == ["white", "black", "black", "white"]
    colours = np.asarray(drawn.canvas.buffer_rgba()) if style.pixels(drawn).any() else None
    np.testing.assert_array_equal(colours[..., 0], colours[..., 1], err_msg="grey")


def test_negative_cosines_have_their_place_on_the_scale():
    (axes, *_) = heat_maps([HeatMap("", np.array([[1.0, -0.4], [-0.4, 1.0]]))]).axes
    assert axes.images[0].get_clim() == (-0.4, 1.0)


def test_lines_by_distance_have_names_and_the_same_axis():
    curve = Curve(np.array([0.5, 0.2]), np.array([0.4, 0.1]), np.array([0.6, 0.3]))
    left, right = distances({"all": {"stream": curve, "outputs": curve}, "without": {"stream": curve}}).axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["stream", "outputs"]
    assert left.get_ylim() == right.get_ylim()


def test_an_activation_is_drawn_where_its_inputs_are():
    histogram = Histogram()
    histogram.add(torch.linspace(-1, 2, 3001))
    row = Row(np.linspace(-9, 9, 181, dtype=np.float32), np.linspace(-9, 9, 181, dtype=np.float32))
    axes, *_ = histograms([Panel("layers.0.mlp", histogram, [row])], gated=False).axes
    drawn = axes.lines[0].get_xdata()
    assert drawn.min() == pytest.approx(-1, abs=0.11)
    assert drawn.max() == pytest.approx(2, abs=0.11)


def test_inputs_that_are_all_0_can_be_drawn():
    histogram = Histogram()
    histogram.add(torch.zeros(8))
    row = Row(np.zeros(4, np.float32), np.zeros(4, np.float32))
    assert style.pixels(histograms([Panel("a", histogram, [row])], gated=True)).any()


def test_of_many_layers_the_first_the_last_and_some_between_are_drawn():
    panels = [Panel(str(number), Histogram(), []) for number in range(49)]
    names = [int(panel.name) for panel in evenly(panels, PANELS)]
    assert (names[0], names[-1], len(set(names))) == (0, 48, PANELS)


def test_what_does_not_exist_leaves_a_gap():
    lines = {"kurtosis (log)": {"inputs": [3.0, float("nan"), 5.0]}, "share": {"dead": [0.0, 0.0, 0.0]}}
    log, share = by_layer(lines, 3).axes[:2]
    assert (log.get_yscale(), log.get_title()) == ("log", "kurtosis")
    assert [text.get_text() for text in share.texts] == ["0 everywhere"]
    assert share.get_ylim()[0] < 0, "so that the line is seen"


@pytest.mark.filterwarnings("error")
def test_a_panel_without_a_number_says_so():
    nothing = [float("nan")] * 3
    drawn = by_layer({"kurtosis (log)": {"a": nothing, "b": nothing}, "gain": {"gain": nothing}}, 3)
    assert style.pixels(drawn).any()
    assert [[text.get_text() for text in own.texts] for own in drawn.axes] == [["does not exist"]] * 2


@pytest.mark.parametrize("values", [(7.0, 14.0), (9.6, 10.4), (3.0, 400.0), (3.0, 3e7), (5.0, 5.0)])
def test_a_logarithmic_scale_has_ticks_to_read_it_by(values):
    (axes,) = by_layer({"largest over rms (log)": {"inputs": values}}, 2).axes
    low, high = axes.get_ylim()
    assert low < min(values) <= max(values) < high
    assert 2 <= sum(low <= tick <= high for tick in axes.get_yticks()) <= 9


def test_one_legend_stands_outside_of_the_panels():
    lines = {title: {"inputs": [1.0, 2.0], "hidden": [2.0, 3.0]} for title in ("kurtosis", "largest")}
    drawn = by_layer(lines, 2)
    (legend,) = drawn.legends
    assert [text.get_text() for text in legend.get_texts()] == ["inputs", "hidden"]
    assert not any(own.get_legend() for own in drawn.axes)
