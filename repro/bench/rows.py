"""A measurement as a row: what was measured, and everything that its number depends on."""

import csv
import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from repro.errors import ReproError
from repro.training.record import versions


@dataclass(frozen=True)
class Figure:
    """One measured number, such as ``Figure("context 4096, 0 workers", 412.0, "Mtok/s per core")``."""

    case: str
    value: float
    unit: str


def write(path: Path, benchmark: str, figures: Iterable[Figure]) -> None:
    """Append ``figures`` to a CSV with device, versions, commit and date in every row."""
    append(
        path,
        [{"benchmark": benchmark, "case": each.case, "value": each.value, "unit": each.unit} for each in figures],
    )


def append(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Append ``rows``, which have the same columns, with device, versions, commit and date in every one.

    Raises:
        ReproError: the file has other columns.
    """
    about = _about()
    written = [{column: _text(value) for column, value in row.items()} | about for row in rows]
    for row in written[:1]:
        expect(path, row)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.is_file()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(written[0]) if written else [], lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(written)


def expect(path: Path, row: Mapping[str, object]) -> None:
    """Refuse a file to which ``row`` cannot be appended.

    Raises:
        ReproError: it has other columns.
    """
    columns = ",".join(dict(row) | _about())
    there = path.read_text().partition("\n")[0] if path.is_file() else columns
    if there != columns:
        raise ReproError(f"{path}: expected the columns {columns}, found {there}; move the file away")


def _about() -> dict[str, str]:
    return versions() | {"date": datetime.datetime.now(datetime.UTC).date().isoformat()}


def _text(value: object) -> str:
    """Four digits of a number that was measured; nothing for what is not known."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)
