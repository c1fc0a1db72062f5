"""What was measured, log-log, with the slope that was fitted and the one that theory gives; readable in greyscale."""

import io
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from repro.analysis.figures.style import figure, lines
from repro.theory.findings import Curve, Finding

INCHES = (6.6, 4.4)
A_LINE = 0.22  # inches that a line of the legend takes
ASIDE = 0.04  # by which share of x the bars of one line stand beside those of the last
PAPER: dict[str, Any] = {"color": "0.55", "linestyle": (0, (1, 2)), "linewidth": 1.1}
OURS: dict[str, Any] = {"color": "0.7", "linestyle": (0, (5, 2, 1, 2)), "linewidth": 1.1}


def draw(finding: Finding) -> Figure:
    """The curves of a finding: marks are measured, lines fitted, dotted ones have the paper's slope, dash-dots ours.

    Where there is a spread marks are medians, which lines join, and bars go from the smallest to the largest.
    """
    width, height = INCHES
    drawn, (axes,) = figure(width, height + A_LINE * len(finding.curves))
    for place, (curve, look) in enumerate(zip(finding.curves, lines(), strict=False)):
        own = {key: look[key] for key in ("color", "linestyle", "marker")}
        if curve.low:
            _spread(axes, curve, own, aside=(1 + ASIDE) ** (place - len(finding.curves) / 2))
        else:
            _fitted(axes, curve, own)
    if any(curve.paper is not None for curve in finding.curves):
        axes.plot([], [], label="slope that the paper gives", **PAPER)
    if any(map(_differs, finding.curves)):
        axes.plot([], [], label="slope that the construction here gives (ours)", **OURS)
    axes.set(xscale="log", yscale="log", xlabel=finding.x_label, ylabel=finding.y_label)
    axes.set_title(": ".join(filter(None, (finding.place, finding.title))), fontsize=10, loc="left")
    _ticks(axes)
    drawn.legend(loc="outside lower left", frameon=False, fontsize=9)
    return drawn


def png(drawn: Figure) -> bytes:
    """As the content of a file."""
    content = io.BytesIO()
    drawn.savefig(content, format="png")
    return content.getvalue()


def number(value: float) -> str:
    """A slope, with a true minus."""
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def _fitted(axes: Axes, curve: Curve, look: dict[str, Any]) -> None:
    x, y = np.array(curve.x), np.array(curve.y)
    if curve.paper is not None:
        axes.plot(x, y[-1] * (x / x[-1]) ** curve.paper, zorder=1, **PAPER)
    if curve.ours is not None and _differs(curve):
        axes.plot(x, y[-1] * (x / x[-1]) ** curve.ours, zorder=1, **OURS)
    middle = np.exp(np.log(y).mean()) * (x / np.exp(np.log(x).mean())) ** curve.slope
    axes.plot(x, middle, linewidth=1.2, **look | {"marker": ""})
    axes.plot(x, y, markersize=5, **look | {"linestyle": "none"})
    axes.plot([], [], markersize=5, label=_label(curve), **look)


def _spread(axes: Axes, curve: Curve, look: dict[str, Any], *, aside: float) -> None:
    x, y = np.array(curve.x) * aside, np.array(curve.y)
    bars = np.array([y - curve.low, curve.high - y])
    axes.errorbar(x, y, bars, markersize=5, capsize=3, elinewidth=0.9, linewidth=1, label=_label(curve), **look)


def _label(curve: Curve) -> str:
    paper = "" if curve.paper is None else f", paper {number(curve.paper)}"
    ours = f", ours {number(curve.ours)}" if curve.ours is not None and _differs(curve) else ""
    return f"{curve.name}: slope {number(curve.slope)}{paper}{ours}"


def _differs(curve: Curve) -> bool:
    return curve.ours is not None and curve.ours != curve.paper


def _ticks(axes: Axes) -> None:
    """Over less than two decades powers of ten would be one tick or none: then 2 and 5 have theirs too."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = axis.get_view_interval()
        if high / low < 100:
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
            axis.set_minor_formatter("")
