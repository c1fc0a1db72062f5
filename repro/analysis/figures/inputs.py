"""Figures of what goes into activations: histograms with the learned activation over them, and sizes by layer."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, Locator, LogLocator, MaxNLocator, NullLocator

from repro.analysis.figures import style
from repro.analysis.inputs import Row
from repro.analysis.values import Histogram

PANELS = 12  # more layers than that are drawn evenly spaced
BARS = 90
SHOWN = 0.9995  # of the inputs lie in a panel; its edges say how far the others reach
LINES = 8
MOST_TICKS = 8


@dataclass(frozen=True)
class Panel:
    """Of one layer: its name, its inputs, and its activation on some of its rows."""

    name: str
    inputs: Histogram
    rows: Sequence[Row]


def histograms(panels: Sequence[Panel], *, gated: bool) -> Figure:
    """A panel a layer: the density of inputs in grey, the activation at them as lines, a row each."""
    chosen = evenly(panels, PANELS)
    columns = min(3, len(chosen))
    rows = -(-len(chosen) // columns)
    drawn, axes = style.figure(3.4 * columns, 2.5 * rows + 0.4, columns=columns, rows=rows)
    for own, panel in zip(axes, chosen, strict=False):
        _panel(own, panel)
    for empty in axes[len(chosen) :]:
        empty.set_visible(False)
    drawn.supxlabel("the gate's input" if gated else "input of the activation", fontsize=9)
    drawn.supylabel("the gate's part (lines)" if gated else "output (lines)", fontsize=9)
    return drawn


def evenly(items: Sequence[Panel], most: int) -> Sequence[Panel]:
    """The first, the last, and others between them."""
    if len(items) <= most:
        return items
    return [items[round(place)] for place in np.linspace(0, len(items) - 1, most)]


def _panel(axes: Axes, panel: Panel) -> None:
    low, high = panel.inputs.quantile((1 - SHOWN) / 2), panel.inputs.quantile((1 + SHOWN) / 2)
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    behind = axes.twinx()
    counts, edges = np.histogram(_middles(panel.inputs), BARS, (low, high), weights=panel.inputs.counts)
    behind.stairs(counts, edges, fill=True, color="0.85")
    behind.set(yticks=[], ylim=(0, 1.15 * max(1, counts.max())))
    behind.spines[:].set_visible(False)
    axes.set_zorder(behind.get_zorder() + 1)
    axes.patch.set_visible(False)
    for row in _spread(panel.rows):
        shown = (row.x >= low) & (row.x <= high)
        axes.plot(row.x[shown], row.y[shown], color="0", linewidth=0.7, alpha=0.8)
    axes.axhline(0, color="0.6", linewidth=0.6, linestyle=":")
    axes.set_title(panel.name, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.set_xlim(low, high)


def _middles(histogram: Histogram) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    edges = histogram.edges
    middles: np.ndarray[tuple[int], np.dtype[np.float64]] = (edges[1:] + edges[:-1]) / 2
    return middles


def _spread(rows: Sequence[Row]) -> Sequence[Row]:
    return rows[:: max(1, math.ceil(len(rows) / LINES))]


def by_layer(
    lines: Mapping[str, Mapping[str, Sequence[float]]], places: int, *, label: str = "layer, from 0"
) -> Figure:
    """A panel for each title, with a line a name over the layers; nan is left out, and a panel of it alone says so.

    Args:
        lines: by title and name; a title that ends in ``(log)`` has a logarithmic axis.
        places: how many there are from left to right.
        label: what they are.
    """
    columns = min(2, len(lines))
    rows = -(-len(lines) // columns)
    drawn, axes = style.figure(4.6 * columns, 2.9 * rows + 0.3, columns=columns, rows=rows)
    named = dict.fromkeys(name for values in lines.values() if len(values) > 1 for name in values)
    looks = dict(zip(named, style.lines(), strict=False))
    for own, (title, values) in zip(axes, lines.items(), strict=False):
        for name, numbers in values.items():
            own.plot(range(places), numbers, label=name, **looks.get(name, next(style.lines())))
        own.set(title=title.removesuffix(" (log)"), xlabel=label)
        own.xaxis.set_major_locator(MaxNLocator(integer=True))
        own.title.set_fontsize(9)
        _scale(own, [number for numbers in values.values() for number in numbers], log=title.endswith(" (log)"))
    for empty in axes[len(lines) :]:
        empty.set_visible(False)
    _legend(drawn, axes, named)
    return drawn


def _scale(axes: Axes, numbers: Sequence[float], *, log: bool) -> None:
    """Room for what there is, in words where nothing is to be seen."""
    there = [number for number in numbers if math.isfinite(number) and (number > 0 or not log)]
    if not there or not any(there):
        said = "0 everywhere" if there else "does not exist"
        axes.text(0.5, 0.5, said, transform=axes.transAxes, ha="center", fontsize=8)
    if not there:
        axes.set_yticks([])
    elif log:
        low, high = min(there) / 1.2, max(there) * 1.2
        axes.set_yscale("log")
        axes.set_ylim(low, high)
        axes.yaxis.set_major_locator(_ticks(low, high))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        top = max(0.05, 1.1 * max(there))
        axes.set_ylim(-0.03 * top, top)  # so that a line at 0 is not on the axis


def _ticks(low: float, high: float) -> Locator:
    """1, 2 and 5 of each decade; evenly spaced where that are too few, decades alone where they are too many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [tick for decade in decades for tick in (10.0**decade * n for n in (1, 2, 5)) if low <= tick <= high]
    if len(ticks) > MOST_TICKS:
        return LogLocator(numticks=MOST_TICKS)
    if len(ticks) >= 3:
        return FixedLocator(ticks)
    return FixedLocator([tick for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high])


def _legend(drawn: Figure, axes: Sequence[Axes], named: Iterable[str]) -> None:
    """One for all panels, below them."""
    lines = {str(line.get_label()): line for own in axes for line in own.get_lines()}
    if found := [lines[name] for name in named]:
        drawn.legend(handles=found, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
