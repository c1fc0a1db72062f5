"""A measurement as a row: what was measured, and everything that its number depends on."""

import csv
import datetime
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from repro.bench.timing import summary
from repro.errors import ReproError
from repro.training.record import versions


@dataclass(frozen=True)
class Figure:
    """One measured number, such as ``Figure("context 4096, 0 workers", 412.0, "Mtok/s per core")``."""

    case: str
    value: float
    unit: str

    def row(self, benchmark: str) -> dict[str, object]:
        """The figure as a row of the CSV."""
        return {"benchmark": benchmark, "case": self.case, "value": self.value, "unit": self.unit}


@dataclass(frozen=True)
class Reading:
    """A measured number with its spread: the median, the 20th and the 80th percentile of ``rounds``, if it has any."""

    case: str
    unit: str
    value: float
    low: float | None = None
    high: float | None = None
    rounds: int | None = None

    @classmethod
    def of(cls, case: str, unit: str, samples: list[float]) -> Self:
        """What ``samples``, one a round, come to."""
        of = summary(samples)
        return cls(case, unit, of.median, of.low, of.high, of.rounds)

    def row(self) -> dict[str, object]:
        """The reading as a row of the CSV; what it does not have is empty."""
        return {
            "case": self.case,
            "value": self.value,
            "p20": self.low,
            "p80": self.high,
            "unit": self.unit,
            "rounds": self.rounds,
        }


def write(path: Path, benchmark: str, figures: Iterable[Figure]) -> None:
    """Append ``figures`` to a CSV with device, versions, commit and date in every row."""
    append(path, [each.row(benchmark) for each in figures])


def append(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Append ``rows``, which have the same columns, with device, versions, commit and date in every one.

    Raises:
        ReproError: the file has other columns.
    """
    surroundings = about()
    written = [{column: _text(value) for column, value in row.items()} | surroundings for row in rows]
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
        ReproError: it has other columns, or cannot be written.
    """
    writable(path)
    columns = ",".join(dict(row) | about())
    there = path.read_text().partition("\n")[0] if path.is_file() else columns
    if there != columns:
        raise ReproError(f"{path}: expected the columns {columns}, found {there}; move the file away")


def writable(path: Path) -> None:
    """Refuse a path at which there is something that is not a file, or a file that cannot be written.

    Raises:
        ReproError: saying so, and the way out.
    """
    if path.exists() and not path.is_file():
        raise ReproError(f"{path}: expected a file, and there is a folder or a device; move it away")
    if path.exists() and not os.access(path, os.W_OK):
        raise ReproError(f"{path}: the file cannot be written; move it away, or allow writing")


def about() -> dict[str, str]:
    """What numbers depend on: device, versions, commit and date."""
    return versions() | {"date": datetime.datetime.now(datetime.UTC).date().isoformat()}


def _text(value: object) -> str:
    """Four digits of a number that was measured; nothing for what is not known."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)
