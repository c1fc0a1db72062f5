"""What a statement of the paper comes to when its networks are built."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Curve:
    """Measured points and the rate that theory gives, for one line of a log-log figure.

    Attributes:
        name: what the line is.
        x: sizes, or whatever the figure is over.
        y: errors, or sizes.
        slope: fitted on logarithms.
        expected: the slope that theory gives; None if it gives none.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    slope: float
    expected: float | None = None


@dataclass(frozen=True)
class Finding:
    """Of one statement.

    Attributes:
        id: for programs, such as ``theorem-1``.
        place: in the paper, such as ``Theorem 1``.
        claim: the statement, in our words.
        holds: whether what was computed agrees with it; computed, never written down.
        measured: what was seen, with its numbers, in a sentence.
        differs: where statement, proof and construction differ, with the number that shows it; empty if nowhere.
        numbers: for programs, by name.
        curves: to be drawn.
        x_label: of the figure's axes.
        y_label: likewise.
    """

    id: str
    place: str
    claim: str
    holds: bool
    measured: str
    differs: str = ""
    numbers: Mapping[str, float | int | str] = field(default_factory=dict)
    curves: tuple[Curve, ...] = ()
    x_label: str = ""
    y_label: str = ""
