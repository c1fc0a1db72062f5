"""Drawings as SVG that stand by themselves: no style sheet, no script, no fonts of their own.

They are 400 units wide with letters of 12, so that they can be read on a narrow screen; the ground is white in a dark
page too, since a file of its own does not know where it is shown. Written by hand: a figure takes two milliseconds;
matplotlib takes more than a second to import and a third of one to draw.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from repro.claims.report.looks import FAINT, GROUND, INK, RULE, Look
from repro.claims.report.scales import Scale, linear, logarithmic, named
from repro.markdown import visible

OWN = 'data-made-by="repro report"'
WIDTH, HEIGHT = 400, 250  # of the drawing without its legend
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 30, 44  # margins
LETTER = 6.6  # width of one, on average, in a size of 12
LINE = 18  # height of a legend's
MOST_POINTS = 120  # of a line: more are not seen
FEW = 14  # points that are marked each; of more, some


@dataclass(frozen=True)
class Series:
    """A line.

    Attributes:
        name: in the legend.
        x, y: its points.
        look: its colour, dash and marker.
        ringed: the number of a point to draw a ring around.
        spread: half the length of each point's bar, where it has one.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    look: Look
    ringed: int | None = None
    spread: tuple[float, ...] = ()


@dataclass(frozen=True)
class Bar:
    """An interval with its middle, under its own line of words; ``faint`` ones do not decide anything."""

    name: str
    low: float
    middle: float
    high: float
    faint: bool = False


def lines(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    y_label: str,
    alt: str,
    log_x: bool = False,
    x_ticks: Sequence[float] = (),
) -> str:
    """Lines over one axis, with a legend below."""
    xs, ys = [x for each in series for x in each.x], [y for each in series for y in _reach(each)]
    ends = LEFT, WIDTH - RIGHT
    across = logarithmic(xs, *ends, ticks=x_ticks) if log_x else linear(xs, *ends)
    up = linear(ys, HEIGHT - BOTTOM, TOP)
    places, rows = _legend({each.name: each.look for each in series})
    drawn = [_frame(across, up, x_label, y_label), *(_series(each, across, up) for each in series)]
    for each, (x, row) in zip(series, places, strict=True):
        drawn.append(_entry(each, x, HEIGHT + row * LINE))
    return _svg([_words(8, 18, title, weight=600), *drawn], HEIGHT + rows * LINE, alt)


def intervals(bars: Sequence[Bar], *, title: str, x_label: str, alt: str) -> str:
    """Intervals below each other, and the line at zero."""
    step, top = 34, 40
    height = top + step * len(bars) + BOTTOM
    across = linear([0.0, *(value for bar in bars for value in (bar.low, bar.high))], 14, WIDTH - 14)
    foot = height - BOTTOM + 4
    drawn = [_words(8, 18, title, weight=600), *(_tick_x(across, tick, 28, foot) for tick in across.ticks)]
    drawn.append(_line(across(0), 28, across(0), foot, INK, width=1.4))
    drawn += [_interval(bar, across, top + step * number) for number, bar in enumerate(bars)]
    drawn.append(_words(WIDTH / 2, height - 8, x_label, anchor="middle"))
    return _svg(drawn, height, alt)


def _svg(drawn: Sequence[str], height: float, alt: str) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" '
        f'aria-label="{_safe(alt)}" {OWN} '
        f'font-family="system-ui, Liberation Sans, Arial, sans-serif" font-size="12" fill="{INK}">'
    )
    ground = f'<rect width="{WIDTH}" height="{height:g}" fill="{GROUND}"/>'
    return "\n".join([head, f"<title>{_safe(alt)}</title>", ground, *drawn, "</svg>"])


def _frame(across: Scale, up: Scale, x_label: str, y_label: str) -> str:
    drawn = [_tick_x(across, tick, TOP, HEIGHT - BOTTOM) for tick in across.ticks]
    for tick in up.ticks:
        drawn.append(_line(LEFT, up(tick), WIDTH - RIGHT, up(tick), RULE))
        drawn.append(_words(LEFT - 6, up(tick) + 4, named(tick), anchor="end", colour=FAINT))
    drawn.append(_words((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x_label, anchor="middle"))
    turned = f'transform="rotate(-90 12 {(TOP + HEIGHT - BOTTOM) / 2:g})"'
    drawn.append(_words(12, (TOP + HEIGHT - BOTTOM) / 2 + 4, y_label, anchor="middle", more=turned))
    return "\n".join(drawn)


def _tick_x(across: Scale, tick: float, top: float, foot: float) -> str:
    x = across(tick)
    return "\n".join(
        [
            _line(x, top, x, foot, RULE),
            _words(x, foot + 15, named(tick), anchor="middle", colour=FAINT),
        ]
    )


def _series(each: Series, across: Scale, up: Scale) -> str:
    points = [(across(x), up(y)) for x, y in zip(each.x, each.y, strict=True)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in _thinned(points, MOST_POINTS))
    dash = f' stroke-dasharray="{each.look.dash}"' if each.look.dash else ""
    drawn = [f'<polyline points="{path}" fill="none" stroke="{each.look.colour}" stroke-width="1.7"{dash}/>']
    for (x, _), y, half in zip(points, each.y, each.spread, strict=False):
        drawn.append(_line(x, up(y - half), x, up(y + half), each.look.colour))
    drawn += [_shape(each.look, x, y) for x, y in (points if len(points) <= FEW else _thinned(points, FEW // 2))]
    if each.ringed is not None:
        x, y = points[each.ringed]
        drawn.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" fill="none" stroke="{each.look.colour}" stroke-width="1.5"/>'
        )
    return "\n".join(drawn)


def _interval(bar: Bar, across: Scale, y: float) -> str:
    colour, middle = (FAINT if bar.faint else INK), y + 16
    low, high = across(bar.low), across(bar.high)
    ends = "".join(_line(x, middle - 4, x, middle + 4, colour, width=1.4) for x in (low, high))
    fill = GROUND if bar.faint else colour
    place = f'cx="{across(bar.middle):.1f}" cy="{middle}" r="4"'
    dot = f'<circle {place} fill="{fill}" stroke="{colour}" stroke-width="1.4"/>'
    halo = f'stroke="{GROUND}" stroke-width="3" paint-order="stroke"'
    return "\n".join(
        [
            _words(14, y + 6, bar.name, colour=colour, more=halo),
            _line(low, middle, high, middle, colour, width=1.7, dash="4 2" if bar.faint else ""),
            ends,
            dot,
        ]
    )


def _legend(looks: Mapping[str, Look]) -> tuple[list[tuple[float, int]], int]:
    """Where each entry stands, and how many lines they take."""
    places, x, row = [], 10.0, 0
    for name in looks:
        width = 34 + LETTER * len(name) + 12
        if x > 10 and x + width > WIDTH:
            x, row = 10.0, row + 1
        places.append((x, row))
        x += width
    return places, row + 1


def _entry(each: Series, x: float, y: float) -> str:
    line = _line(x, y, x + 28, y, each.look.colour, width=1.7, dash=each.look.dash)
    return "\n".join([line, _shape(each.look, x + 14, y), _words(x + 34, y + 4, each.name)])


def _shape(look: Look, x: float, y: float) -> str:
    outlines: dict[str, list[tuple[float, float]]] = {
        "square": [(-3, -3), (3, -3), (3, 3), (-3, 3)],
        "up": [(0, -4), (3.8, 3), (-3.8, 3)],
        "down": [(0, 4), (3.8, -3), (-3.8, -3)],
        "diamond": [(0, -4.4), (4.4, 0), (0, 4.4), (-4.4, 0)],
    }
    if look.shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.3" fill="{look.colour}"/>'
    if look.shape == "cross":
        arms = f"M{x - 3.5:.1f} {y - 3.5:.1f}l7 7m0 -7l-7 7"
        return f'<path d="{arms}" stroke="{look.colour}" stroke-width="2" fill="none"/>'
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in outlines[look.shape])
    return f'<polygon points="{points}" fill="{look.colour}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width:g}"{dashed}/>'


def _words(
    x: float, y: float, text: str, *, anchor: str = "start", colour: str = INK, weight: int = 400, more: str = ""
) -> str:
    bold = f' font-weight="{weight}"' if weight != 400 else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{bold} {more}'.rstrip()
        + f">{_safe(text)}</text>"
    )


def _reach(each: Series) -> list[float]:
    """The lowest and highest places of its points, with their bars."""
    spread = each.spread or (0.0,) * len(each.y)
    return [y + sign * half for y, half in zip(each.y, spread, strict=True) for sign in (-1, 1)]


def _thinned(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    step = max(1, math.ceil(len(points) / most))
    return [*points[:-1:step], points[-1]]


def _safe(text: str) -> str:
    return escape(visible(" ".join(text.split())), quote=True)
