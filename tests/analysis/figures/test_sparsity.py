"""Figures of sparsity show the numbers that they are given."""

import pytest

from repro.analysis.figures import sparsity
from repro.analysis.sparsity.effects import Effect

CURVE = [Effect(0.5, 3.0, 0.0, -0.001, 0.001, 8), Effect(0.9, 3.4, 0.4, 0.3, 0.5, 8)]


def test_losses_are_over_percent_with_their_intervals():
    figure = sparsity.losses(CURVE, {"a predictor": Effect(0.8, 4.0, 1.0, None, None, 1)}, "a run")
    (axes,) = figure.axes
    joined, marked, _ = axes.get_lines()
    assert joined.get_xydata().tolist() == [[50, 0], [90, 0.4]]
    assert marked.get_xydata().tolist() == [[80, 1.0]]
    assert marked.get_linestyle() == "None"
    bars = [segment[:, 1].tolist() for lines in axes.collections for segment in lines.get_segments()]
    assert bars == [[-0.001, 0.001], [0.3, 0.5], [1.0, 1.0]]  # without an interval it is the point


def test_a_layer_has_a_bar_and_its_zeros_within():
    (axes,) = sparsity.by_layer([0.9, 0.8], [0.5, 0.0], "a run").axes
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([90, 80, 50, 0])


def test_without_zeros_nothing_is_said_of_them():
    figure = sparsity.by_layer([0.9, 0.8], [0.0, 0.0], "a run")
    assert len(figure.axes[0].patches) == 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["inactive"]


def test_losses_have_ticks_between_powers_of_ten():
    (axes,) = sparsity.losses(CURVE, {}, "a run").axes
    low, high = axes.get_ylim()
    assert {0.0, 0.1, 0.2, 0.5} <= {round(float(tick), 6) for tick in axes.get_yticks() if low <= tick <= high}


def test_a_way_has_no_bar_of_a_time_that_was_not_taken():
    (axes,) = sparsity.machine({"dense": (1.0, 1.0), "known": (0.25, None)}, "a run").axes
    assert [bar.get_width() for bar in axes.patches] == [100, 25, 100]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["dense", "known"]


def test_a_ladder_has_a_line_an_activation_over_sizes():
    shares = {"relu": {10_600_000: 0.8, 4_800_000: 0.7}, "swiglu": {4_800_012: 0.5, 1_214_000_000: 0.6}}
    figure = sparsity.by_size(shares, "a ladder")
    (axes,) = figure.axes
    heights = [height for line in axes.get_lines() for height in line.get_ydata()]
    assert heights == pytest.approx([70, 80, 50, 60])
    figure.canvas.draw()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["4.8 M", "10.6 M", "1.21 B"]
