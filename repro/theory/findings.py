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
        paper: the slope that the paper gives; None if it gives none.
        ours: the slope that a construction here gives, where it is another than the paper's.
        low: the smallest of each point where ``y`` are medians; else empty.
        high: the largest likewise.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    slope: float
    paper: float | None = None
    ours: float | None = None
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True)
class Finding:
    """Of one statement.

    Attributes:
        id: for programs, such as ``theorem-1``.
        place: in the paper, such as ``Theorem 1``.
        claim: the statement, in our words.
        holds: whether what was computed agrees with it, mended where the paper's own words fail; computed, never
            written down. None of what is observed beside the paper and is no statement of it.
        measured: what was seen, with its numbers, in a sentence.
        differs: where statement, proof and construction differ, with the number that shows it; empty if nowhere.
        numbers: for programs, by name.
        curves: to be drawn.
        x_label: of the figure's axes.
        y_label: likewise.
        title: of the figure, a few words of the claim.
        key: the number that matters most, in a few words, for a row of a terminal.
        as_stated: whether the statement in the paper's own words agrees with what was computed.
    """

    id: str
    place: str
    claim: str
    holds: bool | None
    measured: str
    differs: str = ""
    numbers: Mapping[str, float | int | str] = field(default_factory=dict)
    curves: tuple[Curve, ...] = ()
    x_label: str = ""
    y_label: str = ""
    title: str = ""
    key: str = ""
    as_stated: bool = True
