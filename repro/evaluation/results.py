"""What evaluations of a run found, beside the run: for people as CSV, for programs as JSON.

evaluation/
    losses.csv   losses.json       a row for each checkpoint and subset of a set
    tasks.csv    tasks.json        a row for each checkpoint and task
    images.csv   images.json       a row for each checkpoint
    step-00000100/<set>.npz        of each document: nats, tokens, bytes, and the number of its subset
    step-00000100/<task>.jsonl     of each item
    step-00000100/images.csv       of each image

A checkpoint that is evaluated again replaces its rows.
"""

import csv
import io
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from repro.errors import RunError
from repro.evaluation.tasks.harness import TaskResult
from repro.paths import write_whole
from repro.recipe import fingerprint, from_file
from repro.recipe.images import ImageRecipe
from repro.recipe.schema import LanguageRecipe
from repro.training import checkpoints
from repro.training.holding import held
from repro.training.record import device as device_here
from repro.training.record import versions

FOLDER = "evaluation"
WRITING = ".writing"  # in it, the lock
Row = dict[str, Any]
UNITS = {
    "losses": {
        "nats_per_token": "nats per token of the model's own tokenizer, the end of each document included",
        "perplexity": "exp of nats per token",
        "bits_per_byte": "bits per byte of UTF-8 text, the end of each document included in the bits",
        "low, high": "ends of the interval",
        "tokens_seen": "tokens that the checkpoint was trained on",
        "comparable": 'not with the "PPL" of the paper\'s Table 1, which names neither its set nor its unit',
    },
    "tasks": {
        "value": "of the metric: a share from 0 to 1, or of bits_per_byte bits per byte of UTF-8 text",
        "error": "standard error over items, in the unit of the value",
        "acc, acc_norm": "shares from 0 to 1, of tasks that have them, whichever the metric of the value is",
        "cut": "share of items that did not fit the context",
        "context": "tokens that were read at a time at most",
        "tokens_seen": "tokens that the checkpoint was trained on",
    },
    "images": {
        "top1, top5": "shares of images from 0 to 1, right at the first and among the first five answers",
        "top1_error, top5_error": "binomial standard error over images",
        "nats_per_image": "mean cross-entropy, without smoothing",
        "samples_seen": "images that the checkpoint was trained on, each as often as it was seen",
    },
}
METRICS = ("acc", "acc_norm", "cut")  # of tasks, that have columns of their own
KEYS = {"losses": ("step", "set"), "tasks": ("step", "task"), "images": ("step",)}


def of_step(folder: Path, step: int) -> Path:
    """Where what was found of each document, item or image of a checkpoint lies."""
    return folder / FOLDER / checkpoints.name(step)


def read(folder: Path, kind: str) -> list[Row]:
    """The rows of ``losses``, ``tasks`` or ``images`` of a run; none if there are none yet.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / FOLDER / f"{kind}.json"
    if not path.is_file():
        return []
    try:
        rows: list[Row] = json.loads(path.read_text())["rows"]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged; remove it to evaluate anew") from error
    return rows


def name_of(kind: str, row: Row) -> str:
    """The set or task that a row is of; ``images`` of images."""
    named = {"losses": "set", "tasks": "task"}.get(kind)
    return row[named] if named else kind


def write_losses(folder: Path, step: int, rows: Sequence[Row], *, device: torch.device | None = None) -> None:
    """Add the losses of a checkpoint on the subsets of a set, as :func:`repro.evaluation.sets.rows` has them."""
    _write(folder, "losses", step, rows, device)


def write_tasks(
    folder: Path,
    step: int,
    results: Sequence[TaskResult],
    *,
    limit: int | None = None,
    device: torch.device | None = None,
) -> None:
    """Add how a checkpoint did on tasks: first each item, then the rows that say it is all there.

    Args:
        folder: the run's.
        step: of the checkpoint.
        results: of the tasks.
        limit: items of each, where not all were asked for.
        device: that computed them; by default the one a run would take.
    """
    for result in results:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in result.rows)
        write_whole(of_step(folder, step) / f"{result.task}.jsonl", lines)
    _write(folder, "tasks", step, [_task(result) | {"limit": limit} for result in results], device)


def write_images(folder: Path, step: int, row: Row, *, device: torch.device | None = None) -> None:
    """Add how a checkpoint did on the validation images."""
    _write(folder, "images", step, [row], device)


def forget(folder: Path, *, after: int) -> None:
    """Drop what was found of checkpoints after a step: a run that goes on from there makes others."""
    where = folder / FOLDER
    if not where.is_dir():
        return
    with held(where / WRITING):
        for kind in KEYS:
            every = read(folder, kind)
            kept = [row for row in every if row["step"] <= after]
            if len(kept) < len(every):
                _keep(folder, kind, kept)
        for path in where.glob("step-*"):
            if path.name > checkpoints.name(after):
                shutil.rmtree(path)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A CSV of ``rows``, with the columns of the first; what stands under a name of its own is left to JSON."""
    text = io.StringIO()
    columns = [name for name, value in rows[0].items() if not isinstance(value, dict)] if rows else []
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _columns(row: Row) -> Row:
    """A row for people: those metrics of a task that most have are columns."""
    metrics = row.get("metrics")
    return row if metrics is None else row | {name: metrics.get(name) for name in METRICS}


def _task(result: TaskResult) -> Row:
    names = ("task", "table", "split", "items", "metric", "value", "error")
    own = {name: getattr(result, name) for name in (*names, "metrics", "context")}
    return own | {"task_fingerprint": result.fingerprint}


def _write(folder: Path, kind: str, step: int, new: Sequence[Row], device: torch.device | None) -> None:
    where = folder / FOLDER
    said = _provenance(folder, step, device)
    with held(where / WRITING):  # a run that trains and one that evaluates it may write at once
        found = [_finite(_seen(folder, step) | row | said) for row in new]
        _keep(folder, kind, _merged(read(folder, kind), found, KEYS[kind]))


def _keep(folder: Path, kind: str, rows: Sequence[Row]) -> None:
    where, content = folder / FOLDER, {"units": UNITS[kind], "rows": rows}
    write_whole(where / f"{kind}.csv", table([_columns(row) for row in rows]))
    # Last, since it is what the next evaluation goes by.
    write_whole(where / f"{kind}.json", json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    """None for what JSON has no number for."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _merged(old: Sequence[Row], new: Sequence[Row], key: Sequence[str]) -> list[Row]:
    """By step; within one, new rows come after old ones, of which those go that have a key of theirs."""
    keys = [tuple(row[name] for name in key) for row in new]
    kept = [row for row in old if tuple(row[name] for name in key) not in keys]
    return sorted([*kept, *new], key=lambda row: row["step"])


def _seen(folder: Path, step: int) -> Row:
    recipe = from_file(folder / "recipe.yaml")
    if isinstance(recipe, ImageRecipe):
        return {"step": step, "samples_seen": step * recipe.budget.samples_per_step}
    assert isinstance(recipe, LanguageRecipe)
    return {"step": step, "tokens_seen": step * recipe.budget.tokens_per_step}


def _provenance(folder: Path, step: int, device: torch.device | None) -> Row:
    recipe, here = from_file(folder / "recipe.yaml"), versions()
    on = "CPU" if device and device.type == "cpu" and torch.cuda.is_available() else device_here()
    return {
        "recipe": recipe.name,
        "recipe_fingerprint": fingerprint(recipe),
        "device": on,
        "repro": here["repro"],
        "torch": here["torch"],
        "date": datetime.now(UTC).date().isoformat(),
        "versions": here | {"device": on},
    }
