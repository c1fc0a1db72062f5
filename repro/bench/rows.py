"""A measurement as a row: what was measured, and everything that its number depends on."""

import csv
import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from repro.training.record import versions


@dataclass(frozen=True)
class Figure:
    """One measured number, such as ``Figure("context 4096, 0 workers", 412.0, "Mtok/s per core")``."""

    case: str
    value: float
    unit: str


def write(path: Path, benchmark: str, figures: Iterable[Figure]) -> None:
    """Append ``figures`` to a CSV with device, versions, commit and date in every row."""
    about = versions() | {"date": datetime.datetime.now(datetime.UTC).date().isoformat()}
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.is_file()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, ["benchmark", "case", "value", "unit", *about], lineterminator="\n")
        if new:
            writer.writeheader()
        for figure in figures:
            row = {"benchmark": benchmark, "case": figure.case, "value": f"{figure.value:.4g}", "unit": figure.unit}
            writer.writerow(row | about)
