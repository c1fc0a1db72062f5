"""Two runs that were asked the same questions, item by item."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.claims.statistics.items import Items, items
from repro.claims.statistics.multiple import holm
from repro.errors import RunError

FOLDER = "evaluation"
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Task:
    """Two runs on one task, and what McNemar's exact test says of them.

    Attributes:
        name, metric: of the task.
        seed: of both runs.
        found: which items they answered rightly.
        p_adjusted: by Holm over all tasks and seeds of the pair.
    """

    name: str
    metric: str
    seed: int
    found: Items
    p_adjusted: float

    def row(self) -> dict[str, Any]:
        """As in ``compare --json``."""
        one = self.found
        return {
            "task": self.name,
            "metric": self.metric,
            "seed": self.seed,
            "items": one.n,
            "only_a": one.only_a,
            "only_b": one.only_b,
            "difference": one.difference,
            "interval": [one.low, one.high],
            "p": one.p,
            "p_adjusted": self.p_adjusted,
        }


def tasks(runs: Mapping[int, tuple[Path, Path]]) -> tuple[Task, ...]:
    """The tasks on which both runs of a seed have kept their answers to the same items, each right or wrong.

    Of each run it is the newest checkpoint that was asked. Where items differ, or count by shares, there is no test.

    Raises:
        RunError: a file of answers is damaged.
    """
    found = [
        (name, metric, seed, items([a[item] for item in a], [b[item] for item in a]))
        for seed, (first, second) in sorted(runs.items())
        for name, metric, a, b in _shared(_asked(first), _asked(second))
    ]
    adjusted = holm([each.p for *_, each in found])
    return tuple(Task(*each, p) for each, p in zip(found, adjusted, strict=True))


def _shared(
    first: Mapping[tuple[str, ...], dict[Key, bool]], second: Mapping[tuple[str, ...], dict[Key, bool]]
) -> list[tuple[str, str, dict[Key, bool], dict[Key, bool]]]:
    both = [(task, first[task], second[task]) for task in first if task in second]
    return [(task[0], task[1], a, b) for task, a, b in both if len(a) > 1 and a.keys() == b.keys()]


def _asked(run: Path) -> dict[tuple[str, ...], dict[Key, bool]]:
    """Which items were answered rightly, by task, metric and what tells its items from others."""
    path = run / FOLDER / "tasks.json"
    if not path.is_file():
        return {}
    try:
        rows = {row["task"]: row for row in sorted(json.loads(path.read_text())["rows"], key=lambda row: row["step"])}
        named = {(name, row["metric"], str(row.get("task_fingerprint"))): row for name, row in rows.items()}
        return {task: right for task, row in named.items() if (right := _right(_file(run, row), row["metric"]))}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"the answers in {path.parent} cannot be read: {' '.join(str(error).split())}") from None


def _file(run: Path, row: Mapping[str, Any]) -> Path:
    return run / FOLDER / f"step-{row['step']:08}" / f"{row['task']}.jsonl"


def _right(path: Path, metric: str) -> dict[Key, bool]:
    """By item; nothing if one was asked several times, or an answer is neither right nor wrong."""
    rows: Sequence[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
    right = {(row.get("part"), row["item"], row["id"]): row[metric] for row in rows}
    if len({key[:2] for key in right}) < len(rows) or any(value not in (0, 1) for value in right.values()):
        return {}
    return {key: bool(value) for key, value in right.items()}
