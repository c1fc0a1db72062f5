"""What a look into a run brings back, before it is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

Row = dict[str, Any]


@dataclass(frozen=True)
class Drawn:
    """A figure and what a person who has not read the code should know to read it.

    Attributes:
        figure: not written yet.
        title: of the section on the page.
        caption: what is drawn, in which unit, of what; and what it does not show.
    """

    figure: Figure
    title: str
    caption: str


@dataclass(frozen=True)
class Found:
    """Of one measure.

    Attributes:
        tables: rows by the name of their file, without ``.csv``; a row has the same keys as the others of its file.
        figures: by the name of their file, without ``.png``.
        arrays: what is too large for a table, by the name of their file, without ``.npz``: arrays by name.
        remarks: what a person should know: a line each.
    """

    tables: Mapping[str, list[Row]] = field(default_factory=dict)
    figures: Mapping[str, Drawn] = field(default_factory=dict)
    arrays: Mapping[str, Mapping[str, NDArray[np.generic]]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
