"""A downstream task as `repro eval` takes it: one by one, so that what is finished is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.data.progress import part_of
from repro.data.tasks.facts import Task
from repro.evaluation import results
from repro.evaluation.results import Row
from repro.evaluation.tasks import harness, tasks
from repro.evaluation.tasks.tasks import Tasks
from repro.evaluation.work import Count, Model, covers
from repro.training.ranks import is_first


@dataclass(frozen=True)
class TaskPiece:
    """A task that checkpoints are asked.

    Attributes:
        asked: the task.
        alone: it and nothing else, ready to be asked.
        limit: items of it, where not all were asked for.
    """

    asked: Task
    alone: Tasks
    limit: int | None
    kind = "tasks"

    def __str__(self) -> str:
        return f"{self.name} {self.fingerprint} limit={self.limit}"

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.asked.name

    @property
    def size(self) -> int:
        """Items, each as often as it is asked."""
        return self.alone.size

    @property
    def fingerprint(self) -> str:
        """What tells its items and its definition from others."""
        return self.alone.fingerprints[self.name]

    def is_done(self, rows: Sequence[Row], step: int) -> bool:
        """Whether ``rows`` hold a checkpoint's answers to these items, or to more of them."""
        this = (step, self.name, self.fingerprint)
        own = [row for row in rows if (row["step"], row["task"], row.get("task_fingerprint")) == this]
        return any(covers(row["limit"], self.limit) for row in own)

    def evaluate(self, model: Model, told: Count) -> list[str]:
        """Write a checkpoint's answers."""
        of = model.trained
        stage = part_of(f"{self.name} at step {of.step:,}")
        found = harness.evaluate(model.subject, self.alone, lambda _, done, total: told.progress(stage, done, total))
        if is_first():
            results.write_tasks(of.folder, of.step, found, limit=self.limit, device=model.device)
        told(self.size)
        return []


def find(names: Sequence[str], *, files: Path | None, limit: int | None) -> list[TaskPiece]:
    """The tasks called ``names``, which may be groups of them.

    Raises:
        DataError: there is no such task, or its data are not here.
        RunError: lm-eval is not installed.
    """
    every = tasks.load(names, files=files, limit=limit)
    return [TaskPiece(task, every.alone(task), limit) for task in every.asked]
