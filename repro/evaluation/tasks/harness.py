"""How a model does on downstream tasks."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from repro.data.progress import Progress, silent
from repro.data.tasks.facts import Part, Task
from repro.evaluation.subject import Subject
from repro.evaluation.tasks import library
from repro.evaluation.tasks.tasks import Tasks

if TYPE_CHECKING:
    from repro.evaluation.tasks.language_model import Harness  # lm-eval takes seconds to import

Row = dict[str, Any]
Measured = tuple[float, float]  # a value and its standard error
CUT = "cut"  # a row's, that the item did not fit the context, and the share of items of which that is so
PER_BYTE = "bits_per_byte"
OF_ITEM = {"part", "item", "variant", "id", "log_likelihoods", "written"}  # of a row; the others are metrics


@dataclass(frozen=True)
class TaskResult:
    """How a model did on a task.

    Attributes:
        task: its name.
        table: of the paper, whose number it is to be held against; empty where there is none.
        split: of the data.
        items: that were asked; of a task that asks each question several times, questions.
        metric: the one of the table, ``value`` the model's, ``error`` its standard error over items, by the formula
            for a mean, or of a mean over parts or a ratio of sums; not a number for one item.
        metrics: all, and of how many items the context was cut.
        rows: each question as it was asked: the number of its ``item``, an ``id`` that is its text's, the
            log-likelihoods of the answers or the text that was written, and each metric of it.
        context: tokens that were read at a time at most.
        fingerprint: tells its items and its definition from others.
    """

    task: str
    table: str
    split: str
    items: int
    metric: str
    value: float
    error: float
    metrics: dict[str, float]
    rows: list[Row]
    context: int
    fingerprint: str


def evaluate(subject: Subject, tasks: Tasks, progress: Progress = silent) -> list[TaskResult]:
    """How ``subject`` does on each task.

    Processes that are connected have to call this together; all get the same results.
    """
    from lm_eval import evaluator

    from repro.evaluation.tasks.language_model import Harness

    model = Harness(subject, apart=tasks.apart, rooms=tasks.rooms, progress=progress)
    tasks.begin()
    with library.quiet():
        found = evaluator.evaluate(lm=model, task_dict={"tasks": dict(tasks.defined)}, bootstrap_iters=0)
    return [_result(task, found["samples"], model, tasks.fingerprints[task.name]) for task in tasks.asked]


def _result(task: Task, samples: Mapping[str, Sequence[Row]], model: "Harness", fingerprint: str) -> TaskResult:
    by_part = [_rows(part, len(task.parts) > 1, samples[part.name], model.cut) for part in task.parts]
    metrics = {name: _measured(task, by_part, name) for name in by_part[0][0] if name not in OF_ITEM}
    value, error = metrics[task.described.metric]
    return TaskResult(
        task=task.name,
        table=task.described.table,
        split=task.described.split,
        items=sum(len({row["item"] for row in rows}) for rows in by_part),
        metric=task.described.metric,
        value=value,
        error=error,
        metrics={name: each for name, (each, _) in metrics.items()},
        rows=[row for rows in by_part for row in rows],
        context=max(model.room(part.name) for part in task.parts),
        fingerprint=fingerprint,
    )


def _rows(part: Part, several: bool, samples: Sequence[Row], cut: Set[tuple[Any, Any]]) -> list[Row]:
    """Of a part; what several filters make of an answer is in one row, under names with the filter's."""
    rows: dict[int, Row] = {}
    item = -1
    for sample in samples:
        number = sample["doc_id"]
        if number not in rows:
            item += not sample["doc"].get("variant")
            which = ({"part": part.name} if several else {}) | {"item": item}
            rows[number] = which | _row(sample) | {CUT: float((part.name, number) in cut)}
        suffix = "" if sample["filter"] == "none" else f",{sample['filter']}"
        rows[number] |= {f"{name}{suffix}": _plain(sample[name]) for name in sample["metrics"]}
    return list(rows.values())


def _row(sample: Row) -> Row:
    """What an item is, and what the model made of it."""
    row = {"id": sample["doc_hash"]}
    if "variant" in sample["doc"]:
        row["variant"] = sample["doc"]["variant"]
    answers = [answer for (answer, *_) in sample["resps"]]
    if isinstance(answers[0], str):
        return row | {"written": answers[0]}
    return row | {"log_likelihoods": [score.log_likelihood for score in answers]}


def _plain(value: Any) -> float | list[float]:
    """A metric of an item: a number, or a sum of nats and the bytes of its text."""
    return [float(each) for each in value] if isinstance(value, tuple) else float(value)


def _measured(task: Task, by_part: Sequence[Sequence[Row]], name: str) -> Measured:
    """A metric, over all items or as the mean of the parts'."""
    clusters = [_clusters(rows, name) for rows in by_part]
    if task.described.average == "items":
        value, error = ratio(np.concatenate(clusters))
    else:
        each = np.array([ratio(cluster) for cluster in clusters])
        value, error = float(each[:, 0].mean()), float(np.sqrt((each[:, 1] ** 2).sum()) / len(each))
    return (-value / math.log(2), error / math.log(2)) if name == PER_BYTE else (value, error)


def _clusters(rows: Sequence[Row], name: str) -> NDArray[np.float64]:
    """Of each item the sum of a metric, over the times that it was asked, and how often that was, or its bytes."""
    sums: dict[int, NDArray[np.float64]] = defaultdict(lambda: np.zeros(2))
    for row in rows:
        sums[row["item"]] += row[name] if isinstance(row[name], list) else (row[name], 1.0)
    return np.array(list(sums.values()))


def ratio(pairs: NDArray[np.float64]) -> Measured:
    """A ratio of sums over items, ``(items, 2)``, and its standard error to first order; of a mean, s / sqrt(n)."""
    n, (above, below) = len(pairs), pairs.sum(axis=0)
    value = above / below
    if n < 2:
        return float(value), math.nan
    squares = ((pairs[:, 0] - value * pairs[:, 1]) ** 2).sum()
    return float(value), float(np.sqrt(squares * n / (n - 1)) / below)
