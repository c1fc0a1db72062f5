"""Figures of sparsity: what leaving neurons out costs, how many could be, and what of it a machine saves."""

from collections.abc import Mapping, Sequence
from itertools import chain

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, SymmetricalLogLocator

from repro.analysis.figures.style import figure, lines
from repro.analysis.sparsity.effects import Effect

LINEAR = 0.01  # nats below which the axis of losses is linear, as it must be around 0
DARK, LIGHT = "0.25", "0.75"


def losses(curve: Sequence[Effect], marked: Mapping[str, Effect], title: str) -> Figure:
    """Increase of the loss over the share of neurons left out.

    Args:
        curve: at rising shares, joined by a line.
        marked: single points, by what they are.
        title: of the figure.
    """
    drawn, (axes,) = figure()
    names = ["the shortest outputs of each layer", *marked]
    for name, look, points in zip(names, lines(), [list(curve), *([point] for point in marked.values())], strict=False):
        x, y = [100 * point.sparsity for point in points], [point.increase for point in points]
        own = look if len(points) > 1 else look | {"linestyle": "", "markersize": 7, "markerfacecolor": "1.0"}
        axes.plot(x, y, label=name, **own)
        axes.vlines(x, *_ends(points), color=look["color"])
    _around_zero(axes)
    axes.set(xlabel="neurons left out, %", ylabel="increase of the loss, nats per token", title=title)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return drawn


def by_layer(inactive: Sequence[float], zeros: Sequence[float], title: str) -> Figure:
    """A bar a layer: the share of neurons that are inactive, and of those the ones whose output is exactly 0."""
    drawn, (axes,) = figure()
    layers = range(len(inactive))
    axes.bar(layers, [100 * share for share in inactive], color=LIGHT, label="inactive")
    if any(zeros):
        axes.bar(layers, [100 * share for share in zeros], color=DARK, width=0.4, label="of them exactly 0")
    axes.set(xlabel="layer", ylabel="neurons of a token, %", ylim=(0, 100), title=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    drawn.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return drawn


def machine(shares: Mapping[str, tuple[float, float | None]], title: str) -> Figure:
    """Two bars for each way to run an FFN: weights read and time, in % of all of it.

    Args:
        shares: by way, of the dense FFN's weights and time; no time where it was not measured.
        title: of the figure.
    """
    drawn, (axes,) = figure(height=0.8 + 0.8 * len(shares))
    places = list(range(len(shares)))[::-1]
    for offset, colour, name, which in ((0.2, DARK, "weights read", 0), (-0.2, LIGHT, "time", 1)):
        known = [(place + offset, both[which]) for place, both in zip(places, shares.values(), strict=True)]
        there = [(place, 100 * share) for place, share in known if share is not None]
        bars = axes.barh([place for place, _ in there], [share for _, share in there], 0.36, color=colour, label=name)
        axes.bar_label(bars, fmt="%.0f", padding=3, fontsize=8)
    axes.axvline(100, color="0.5", linewidth=0.8, linestyle=":")
    axes.set(xlabel="% of the dense FFN", title=title)
    axes.set_yticks(places, list(shares))
    drawn.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return drawn


def by_size(shares: Mapping[str, Mapping[int, float]], title: str) -> Figure:
    """A line an activation over the sizes of a ladder.

    Args:
        shares: of neurons that are inactive, by activation and parameters without embeddings.
        title: of the figure.
    """
    drawn, (axes,) = figure()
    for (activation, by), look in zip(shares.items(), lines(), strict=False):
        axes.plot(sorted(by), [100 * by[size] for size in sorted(by)], label=activation, **look)
    axes.set_xscale("log")
    sizes = sorted({*chain(*shares.values())})
    ticks = {_count(size): size for size in sizes}  # one for those that differ by coefficients alone
    axes.set_xticks(list(ticks.values()), list(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="parameters without embeddings", ylabel="inactive neurons, %", title=title)
    drawn.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return drawn


def _ends(points: Sequence[Effect]) -> tuple[list[float], list[float]]:
    """Of intervals; where there is none, the point itself."""
    lows = [point.increase if point.low is None else point.low for point in points]
    return lows, [point.increase if point.high is None else point.high for point in points]


def _around_zero(axes: Axes) -> None:
    axes.set_yscale("symlog", linthresh=LINEAR, linscale=0.5)
    axes.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=LINEAR, subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.axhline(0, color="0.5", linewidth=0.8, linestyle=":")


def _count(parameters: int) -> str:
    return f"{parameters / 1e9:.3g} B" if parameters >= 1e9 else f"{parameters / 1e6:.3g} M"
