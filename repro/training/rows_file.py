"""A CSV of one row a logged step, whose history survives a resume."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from repro.paths import write_whole
from repro.recipe.runs import read_metrics
from repro.training.ranks import is_first


class RowsFile(Logger):
    """Appends to a CSV, each row flushed. Lightning's own CSV logger drops the rows before a resume.

    Args:
        path: the file; created with its header.
        resumed_at: rows after this step came from a run that did not reach its next checkpoint, and are dropped.
        columns: of the file; if there are none, those of its first row, with which it is created.
    """

    def __init__(self, path: Path, *, resumed_at: int, columns: Sequence[str] = ()) -> None:
        super().__init__()
        self.path = path
        rows = read_metrics(path) if path.is_file() and is_first() else []
        rows = [row for row in rows if int(row["step"]) <= resumed_at]
        self.columns = tuple(columns or (rows[0] if rows else ()))
        if is_first():
            self._begin(rows)

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

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row, of the first rank."""
        if not is_first():
            return
        header = not self.columns
        self.columns = self.columns or tuple(row)
        with self.path.open("a", newline="") as file:
            file.write(self._text([row], header=header))

    def _begin(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if self.columns:
            write_whole(self.path, self._text(rows, header=True))
        else:
            self.path.unlink(missing_ok=True)

    def _text(self, rows: Sequence[Mapping[str, Any]], *, header: bool) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()
