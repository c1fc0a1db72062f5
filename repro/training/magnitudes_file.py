"""``magnitudes.csv``: how large what leaves each activation is, a column a layer."""

from collections.abc import Mapping
from pathlib import Path

from repro.training.rows_file import RowsFile

MAGNITUDE = "magnitude/"  # what a logged root mean square is called, before its layer


class MagnitudesFile(RowsFile):
    """Writes the root mean squares that :class:`repro.training.callbacks.magnitudes.Magnitudes` logs.

    A run that measures none has no such file.
    """

    def __init__(self, path: Path, *, resumed_at: int) -> None:
        super().__init__(path, resumed_at=resumed_at)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append those of this step, each under its layer's name."""
        sizes = {key.removeprefix(MAGNITUDE): size for key, size in metrics.items() if key.startswith(MAGNITUDE)}
        if sizes:
            self.append({"step": step, **sizes})
