"""``metrics.csv``: one row a logged step, whose history survives a resume."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from repro.paths import write_whole
from repro.recipe.runs import read_metrics
from repro.training.ranks import is_first

COLUMNS = (
    "step",
    "tokens",
    "loss",
    "validation_loss",
    "lr",
    "grad_norm",
    "skipped_steps",
    "tokens_per_second",
    "mfu",
    "memory_gb",
    "largest_magnitude",  # of what leaves an activation
    "samples",  # of image classifiers
    "samples_per_second",
    "top1",
    "top5",
    "load_balancing",  # of mixtures of experts
    "router_z",
    "router_entropy",
    "largest_load",
    "smallest_load",
    "dropped_tokens",
)


class MetricsFile(Logger):
    """Appends to a CSV, each row flushed. Lightning's own CSV logger drops the rows before a resume.

    Args:
        path: the file; created with its header.
        resumed_at: rows after this step came from a run that did not reach its next checkpoint, and are dropped.
    """

    def __init__(self, path: Path, *, resumed_at: int) -> None:
        super().__init__()
        self.path = path
        rows = (
            [row for row in read_metrics(path) if int(row["step"]) <= resumed_at]
            if path.is_file() and is_first()
            else []
        )
        if is_first():
            write_whole(path, _text(rows, header=True))

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def version(self) -> str:
        """None: there is one file a run."""
        return ""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run folder holds the recipe."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append the values that have a column; others, such as coefficients, are for TensorBoard."""
        known = {key: value for key, value in metrics.items() if key in COLUMNS}
        if known and is_first():
            with self.path.open("a", newline="") as file:
                file.write(_text([{"step": step, **known}], header=False))


def _text(rows: list[dict[str, Any]], *, header: bool) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
