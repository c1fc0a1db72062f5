"""Figures of effective ranks, or other numbers of layers: over layers, over training; and singular values."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from repro.analysis.figures.style import figure, lines
from repro.analysis.matrices import Ranks

LABEL = "effective rank / that of a random matrix"
ABREAST = 3  # panels
BAND = "0.85"
LOWEST = 2**-8  # of singular values, beside random ones
BESIDE = 0.05  # layers between the bars of two parts


def over_layers(ranks: Sequence[Ranks], title: str, *, label: str = LABEL, dotted: float = 1.0) -> Figure:
    """A line a part; where a part has several experts, it is their mean, with bars from the smallest to the largest."""
    drawn, (axes,) = figure()
    apart = BESIDE if any(rank.smallest < rank.largest for rank in ranks) else 0.0
    for number, ((part, own), look) in enumerate(zip(_by_part(ranks).items(), lines(), strict=False)):
        x = [rank.layer + apart * (number - 1) for rank in own]
        axes.plot(x, [rank.mean for rank in own], label=part, **look)
        axes.vlines(x, [rank.smallest for rank in own], [rank.largest for rank in own], color=look["color"])
    _dotted(axes, dotted)
    _whole_numbers(axes)
    axes.set(xlabel="layer", ylabel=label, title=title)
    drawn.legend(loc="outside lower center", ncols=ABREAST * 2, frameon=False, fontsize=8)
    return drawn


def over_training(
    ranks: Mapping[int, Sequence[Ranks]], title: str, *, label: str = LABEL, dotted: float = 1.0
) -> Figure:
    """A panel a part: over optimizer steps the mean over layers, in a band from the lowest layer to the highest."""
    by_step = {step: _by_part(own) for step, own in ranks.items()}
    parts, steps = list(by_step[max(by_step)]), sorted(by_step)
    drawn, panels = _panels(len(parts))
    for axes, part in zip(panels, parts, strict=False):
        means = [[rank.mean for rank in by_step[step][part]] for step in steps]
        axes.fill_between(steps, [min(own) for own in means], [max(own) for own in means], color=BAND, linewidth=0)
        axes.plot(steps, [math.fsum(own) / len(own) for own in means], **next(lines()))
        axes.sharey(panels[0])
        _dotted(axes, dotted)
        _whole_numbers(axes)
        axes.set(title=part)
    _around(drawn, title, x="optimizer step", y=label)
    return drawn


def spectra(ratios: Mapping[str, Mapping[int, NDArray[np.float64]]], title: str) -> Figure:
    """A panel a part and a line a layer: singular values, divided by those of a random matrix of the same shape.

    Args:
        ratios: by part and layer, ``(n,)`` from the largest singular value to the smallest; 0 is not drawn.
        title: of the figure.
    """
    drawn, panels = _panels(len(ratios))
    bounds = _bounds(values for layers in ratios.values() for values in layers.values())
    for axes, (part, layers) in zip(panels, ratios.items(), strict=False):
        for (layer, values), look in zip(layers.items(), lines(), strict=False):
            share = 100 * (np.arange(len(values)) + 0.5) / len(values)
            axes.plot(share, np.where(values > 0, values, np.nan), label=f"layer {layer}", **look | {"marker": ""})
        _dotted(axes, 1.0)
        axes.set_yscale("log", base=2)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set(title=part, ylim=bounds)
        axes.legend(frameon=False, fontsize=8)
    what = "singular value / that of a random matrix"
    _around(drawn, title, x="place among the singular values, from the largest, in %", y=what)
    return drawn


def _bounds(ratios: Iterable[NDArray[np.float64]]) -> tuple[float, float]:
    """Half and double at least, so that chance does not look like structure; what rounding leaves is not shown."""
    every = np.concatenate(list(ratios))
    return max(LOWEST, min(0.5, every.min() / 1.1)), max(2.0, every.max() * 1.1)


def _by_part(ranks: Iterable[Ranks]) -> dict[str, list[Ranks]]:
    parts: dict[str, list[Ranks]] = {}
    for rank in ranks:
        parts.setdefault(rank.part, []).append(rank)
    return parts


def _panels(number: int) -> tuple[Figure, list[Axes]]:
    columns, rows = min(number, ABREAST), -(-number // ABREAST)
    drawn, panels = figure(1.2 + 2.7 * columns, 0.9 + 2.6 * rows, columns=columns, rows=rows)
    for unused in panels[number:]:
        unused.set_axis_off()
    return drawn, panels[:number]


def _around(drawn: Figure, title: str, *, x: str, y: str) -> None:
    drawn.suptitle(title)
    drawn.supxlabel(x, fontsize="medium")
    drawn.supylabel(y, fontsize="medium")


def _dotted(axes: Axes, at: float) -> None:
    axes.axhline(at, color="0.5", linewidth=0.8, linestyle=(0, (1, 3)), zorder=0)


def _whole_numbers(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))
