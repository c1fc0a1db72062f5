"""What lies in the folder of a finished run."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from repro.errors import RecipeError, RunError
from repro.recipe import Recipe, from_file
from repro.recipe.keys import keys
from repro.recipe.loading import COMMAND_LINE
from repro.recipe.reading import leaves, read
from repro.recipe.runs import is_imported, read_metrics

# The learning rate has a column of its own; the others change no number of a run.
NOT_TOLD = ("optim.lr", "optim.min_lr", "data.workers", "data.path")
SECTIONS = ("model", "data", "optim", "balance", "budget", "validation", "precision")


@dataclass(frozen=True)
class Kept:
    """A finished run's files.

    Attributes:
        recipe: what was trained.
        overrides: what was set on the command line, ``key=value`` with spaces between.
        seed: of the run.
        metrics: the rows of ``metrics.csv``.
        result: what it came to.
        validation: the mean of the last row of ``validation.npy``; None of a run that diverged.
        versions: of packages, the device and the data.
        accelerator, devices: of the machine.
        date: the day on which it ended, in UTC.
    """

    recipe: Recipe
    overrides: str
    seed: int
    metrics: list[dict[str, str]]
    result: dict[str, Any]
    validation: float | None
    versions: dict[str, str]
    accelerator: str
    devices: int
    date: str


def read_run(run: Path) -> Kept:
    """The run in a folder.

    Raises:
        RunError: it is not finished, others trained its weights, or a file of it is damaged.
    """
    if is_imported(run):
        raise RunError(f"{run} holds weights that others trained, and no record of how; no row can be made of it")
    if not (run / "result.json").is_file():
        raise RunError(f"{run} is not finished: it has no result.json; the same `repro run` goes on with it")
    with damages(run):
        recipe, result = from_file(run / "recipe.yaml"), json.loads((run / "result.json").read_text())
        machine = yaml.safe_load((run / "machine.yaml").read_text())
        return Kept(
            recipe=recipe,
            overrides=_overrides(run, recipe),
            seed=int(run.name.removeprefix("seed-")),
            metrics=_metrics(run),
            result=result,
            validation=_validation(run) if result.get("diverged_at") is None else None,
            versions=json.loads((run / "versions.json").read_text()),
            accelerator=machine["accelerator"],
            devices=machine["nodes"] * machine["devices"],
            date=result.get("date") or _day_of(run / "result.json"),
        )


@contextmanager
def damages(run: Path) -> Iterator[None]:
    """Tell in a line what of a run cannot be read.

    Raises:
        RunError: a file is missing, or is not what a run writes.
    """
    try:
        yield
    except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, csv.Error, yaml.YAMLError) as error:
        raise _damaged(run, f"{type(error).__name__}: {error}") from None
    except RecipeError as error:
        raise _damaged(run, str(error)) from None


def _damaged(run: Path, found: str) -> RunError:
    return RunError(f"the run in {run} is damaged ({' '.join(found.split())}); without its folder it is made again")


def _metrics(run: Path) -> list[dict[str, str]]:
    rows = read_metrics(run / "metrics.csv")
    if not rows:
        raise ValueError("metrics.csv has no rows")
    return rows


def _overrides(run: Path, recipe: Recipe) -> str:
    origin = read(run / "origin.yaml")
    values = dict(leaves(recipe.model_dump(mode="json"), keys(recipe.family)))
    told = (
        f"{key}={_as_typed(value)}"
        for key, value in sorted(values.items())
        if origin.get(key) == COMMAND_LINE and key not in NOT_TOLD and key.split(".")[0] in SECTIONS
    )
    return " ".join(told)


def _as_typed(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _validation(run: Path) -> float | None:
    """As training computed it: the mean over sequences or images, in float64."""
    loss = float(np.mean(np.load(run / "validation.npy")[-1], dtype=np.float64))
    return loss if np.isfinite(loss) else None


def _day_of(path: Path) -> str:
    """Of a run of an earlier version, whose result has no date: when the file was written."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
