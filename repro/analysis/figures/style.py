"""What figures have in common: no display, black and grey, marks and dashes that tell lines apart."""

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

DOTS = 110  # an inch
GREYS = ("0.0", "0.35", "0.6")
DASHES = ("-", "--", ":", "-.")
MARKS = ("o", "s", "^", "D", "v", "x")


def figure(width: float = 6.4, height: float = 4.0, *, columns: int = 1, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """An empty figure and its axes, row by row; sizes are inches."""
    made = Figure(figsize=(width, height), dpi=DOTS, layout="constrained")
    FigureCanvasAgg(made)
    axes = list(np.ravel(made.subplots(rows, columns)))
    for own in axes:
        own.spines[["top", "right"]].set_visible(False)
    return made, axes


def lines() -> Iterator[dict[str, Any]]:
    """Looks for one line after the other, no two of the first twelve alike without colours."""
    looks = [{"color": grey, "linestyle": dash} for dash in DASHES for grey in GREYS]
    for number, look in enumerate(cycle(looks)):
        yield look | {"marker": MARKS[number % len(MARKS)], "markersize": 4, "linewidth": 1.3}


def pixels(drawn: Figure) -> NDArray[np.uint8]:
    """``(height, width)``, from black 0 to white 255, for TensorBoard."""
    drawn.canvas.draw()
    colours = np.asarray(drawn.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
    grey: NDArray[np.uint8] = colours.mean(-1).astype(np.uint8)
    return grey
