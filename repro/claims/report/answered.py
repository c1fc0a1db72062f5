"""What a run answered of downstream tasks, as ``repro eval`` and training kept it beside the run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from repro.claims.answers import FOLDER
from repro.errors import RunError

BITS = "bits_per_byte"  # the one metric that is no share of items


@dataclass(frozen=True)
class Answered:
    """Of one task at the newest checkpoint that was asked.

    Attributes:
        step: of the checkpoint.
        metric, value, error: the value with its standard error over items, of all metrics but :data:`BITS` a share.
        items: that were asked; limit: how many of each group at most, None if all were.
    """

    step: int
    metric: str
    value: float
    error: float
    items: int
    limit: int | None

    @property
    def shown(self) -> str:
        """Per cent with the error, or bits."""
        if self.metric == BITS:
            return f"{self.value:.4f} \N{PLUS-MINUS SIGN} {self.error:.4f} bits per byte"
        return f"{100 * self.value:.2f} \N{PLUS-MINUS SIGN} {100 * self.error:.2f}"

    @property
    def of(self) -> str:
        """How many items."""
        return f"{self.items:,}" + ("" if self.limit is None else ", not all")


def tasks(run: Path) -> Mapping[str, Answered]:
    """By task; none where nothing was asked.

    Raises:
        RunError: the file is damaged.
    """
    path = run / FOLDER / "tasks.json"
    if not path.is_file():
        return {}
    try:
        rows = sorted(json.loads(path.read_text(encoding="utf-8"))["rows"], key=lambda row: row["step"])
        return {
            str(row["task"]): Answered(
                int(row["step"]),
                str(row["metric"]),
                float(row["value"]),
                float(row["error"]),
                int(row["items"]),
                row["limit"],
            )
            for row in rows
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
