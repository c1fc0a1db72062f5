"""Figures of how alike layers are: heat maps with their numbers, and means by distance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from repro.analysis.figures import style

Matrix = NDArray[np.float64]
WRITTEN = 13  # layers up to which each square has its number
_DARK = 0.55  # of the scale, above which numbers are white


@dataclass(frozen=True)
class Curve:
    """Means by distance and the ends of their intervals, ``(distances,)`` each; nan where there is no interval."""

    mean: Matrix
    low: Matrix
    high: Matrix


@dataclass(frozen=True)
class HeatMap:
    """Of layers against layers: its title, the numbers ``(layers, layers)``, and the number of its first layer."""

    title: str
    matrix: Matrix
    start: int = 0


def heat_maps(
    maps: Sequence[HeatMap], *, first: str = "layer", second: str = "layer", measure: str = "mean cosine"
) -> Figure:
    """Maps side by side, darker where layers are more alike.

    Args:
        maps: from left to right.
        first: what the rows are.
        second: what the columns are.
        measure: what the squares show.
    """
    size = max(max(one.matrix.shape) for one in maps)
    side = min(5.2, max(3.2, 0.42 * size))
    drawn, axes = style.figure((side + 0.5) * len(maps) + 1.0, side + 0.9, columns=len(maps))
    low = min(0.0, *(float(np.nanmin(one.matrix, initial=0.0)) for one in maps))
    for own, one in zip(axes, maps, strict=True):
        image = _draw(own, one, low)
        own.set(title=one.title, xlabel=second, ylabel=first)
    drawn.colorbar(image, ax=axes, label=measure, shrink=0.8, pad=0.02)
    return drawn


def _draw(axes: Axes, one: HeatMap, low: float) -> AxesImage:
    """From white at ``low`` to black at 1, with numbers where there is room."""
    rows, columns = one.matrix.shape
    left, top = one.start - 0.5, one.start - 0.5
    corners = (left, left + columns, top + rows, top)
    image = axes.imshow(one.matrix, cmap="Greys", vmin=low, vmax=1.0, extent=corners)
    axes.spines[:].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    for (row, column), value in np.ndenumerate(one.matrix) if max(rows, columns) <= WRITTEN else ():
        grey = "white" if (value - low) / (1 - low) > _DARK else "black"
        place = (column + one.start, row + one.start)
        axes.text(*place, f"{value:.2f}", ha="center", va="center", color=grey, fontsize=7)
    return image


def distances(panels: Mapping[str, Mapping[str, Curve]]) -> Figure:
    """A panel for each title, with a line a name: means, and between the ends of their intervals a grey band."""
    drawn, axes = style.figure(4.4 * len(panels) + 0.6, 3.8, columns=len(panels))
    for own, (title, curves) in zip(axes, panels.items(), strict=True):
        for look, (name, curve) in zip(style.lines(), curves.items(), strict=False):
            apart = np.arange(1, len(curve.mean) + 1)
            own.plot(apart, curve.mean, label=name, **look)
            own.fill_between(apart, curve.low, curve.high, color=look["color"], alpha=0.2, linewidth=0)
        own.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        own.set(xlabel="layers apart", ylabel="mean cosine", title=title)
        own.title.set_fontsize(10)
        own.sharey(axes[0])
        own.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].legend(frameon=False, fontsize=8)
    return drawn
