"""Values as the cells of a CSV, read back equal to the bit, and their digests, by which an edit shows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_type_hints

from repro import digests
from repro.claims.evidence.rows import Curve, Row

LENGTH = 12  # hexadecimal characters: a slip of the hand shows; who wants to deceive can compute it anew
Cells = dict[str, str]

# Of a row by column, and of a point of a curve: what kind its values are, and whether None is one of them.
ROW: dict[str, tuple[type, bool]] = {
    name: (next(iter(get_args(kind)), kind), bool(get_args(kind))) for name, kind in get_type_hints(Row).items()
}
WHO = {name: ROW[name] for name in ("arm", "rung", "seed", "factor")}  # of a study's form, a run
POINT: dict[str, tuple[type, bool]] = {
    "steps": (int, False),
    "tokens": (int, False),
    "seconds": (float, False),
    "validation_loss": (float, True),
    "train_loss": (float, True),
}


def of_row(row: Row) -> Cells:
    """All fields of a row."""
    return {name: _text(getattr(row, name), kind) for name, (kind, _) in ROW.items()}


def to_row(cells: Mapping[str, str]) -> Row:
    """The row of these cells.

    Raises:
        KeyError: a column is missing.
        ValueError: a cell holds no value of its column.
    """
    return Row(**{name: _value(cells, name, *of) for name, of in ROW.items()})


def of_curve(curve: Curve) -> Iterator[Cells]:
    """A line a point, led by the run that it is of."""
    who = {name: _text(getattr(curve, name), kind) for name, (kind, _) in WHO.items()}
    for values in zip(*(getattr(curve, name) for name in POINT), strict=True):
        yield who | {name: _text(value, POINT[name][0]) for name, value in zip(POINT, values, strict=True)}


def to_curve(row: Row, points: Sequence[Mapping[str, str]]) -> Curve:
    """The curve of a run.

    Raises:
        KeyError, ValueError: as :func:`to_row`.
    """
    columns: dict[str, Any] = {name: tuple(_value(cells, name, *of) for cells in points) for name, of in POINT.items()}
    return Curve(row.arm, row.rung, row.seed, row.factor, **columns)


def digest(row: Row) -> str:
    """Of all fields of a row."""
    return digest_of(of_row(row))


def curve_digest(curve: Curve) -> str:
    """Of the points of a curve."""
    return digest_of(list(of_curve(curve)))


def digest_of(content: object) -> str:
    """Of anything that JSON holds."""
    return digests.digest(content, LENGTH)


def _text(value: Any, kind: type) -> str:
    if value is None:
        return ""
    return repr(float(value)) if kind is float else str(value)


def _value(cells: Mapping[str, str], name: str, kind: type, optional: bool) -> Any:
    text = cells[name]
    if optional and text == "":
        return None
    try:
        return kind(text)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {text!r}, and is no {kind.__name__}") from None
