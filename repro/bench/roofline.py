"""The picture of the benchmark: how near each implementation comes to what the memory allows."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from repro.bench.measurement import CEILING, Measurement
from repro.claims.plots import MARKERS, STYLES

WAYS = {"forward": "forward: x in, y out", "backward": "backward: x and dy in, dx out"}


def draw(measured: Sequence[Measurement], path: Path, *, title: str) -> None:
    """Draw the share of the measured ceiling over the width of a row, a row of panels a function.

    Args:
        measured: of one run; what has no time has no point, and without any there is no picture.
        path: the PNG to write.
        title: what the figures mean nothing without: device, dtype, versions and date.
    """
    if not any(m.timing for m in measured):
        return
    functions = list(dict.fromkeys(m.case.function for m in measured))
    names = [name for name in dict.fromkeys(m.implementation for m in measured) if name != CEILING]
    size = (10, 1.2 + 3 * len(functions))  # inches
    figure, grid = plt.subplots(len(functions), 2, figsize=size, sharey=True, squeeze=False, layout="constrained")
    for function, panels in zip(functions, grid, strict=True):
        for axes, (way, label) in zip(panels, WAYS.items(), strict=True):
            here = [m for m in measured if (m.case.function, m.direction) == (function, way)]
            _panel(axes, here, names)
            axes.set_title(f"{function}, {label}", fontsize=10)
        panels[0].set_ylabel("percent of the measured ceiling")
    for axes in grid[-1]:
        axes.set_xlabel("columns of a row")
    figure.legend(*grid[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _panel(axes: Axes, here: Sequence[Measurement], names: Sequence[str]) -> None:
    widths = sorted({m.case.width for m in here})
    axes.axhline(100, color="0.5", linewidth=0.8)
    # One that is absent from a panel keeps its style, and its place in the legend.
    for number, name in enumerate(names):
        points = {m.case.width: m.share for m in here if m.implementation == name and m.share is not None}
        axes.plot(
            [widths.index(width) for width in sorted(points)],
            [points[width] for width in sorted(points)],
            label=name,
            marker=MARKERS[number % len(MARKERS)],
            linestyle=STYLES[number % len(STYLES)],
            markersize=5,
            linewidth=1.2,
            color=str(0.12 * number),
        )
    axes.set_xticks(range(len(widths)), [f"{width:,}" for width in widths])
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
