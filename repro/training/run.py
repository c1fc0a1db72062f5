"""One run, from its recipe to its result, in a folder of its own."""

import contextlib
import json
import math
import os
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import Logger

from repro.errors import Diverged, RunError
from repro.paths import write_whole
from repro.recipe import Machine, Recipe
from repro.recipe.runs import read_metrics
from repro.training.build import Data, build
from repro.training.holding import held
from repro.training.ranks import is_first, started
from repro.training.record import record, refuse_other_data
from repro.training.resuming import newest

RESULT = "result.json"
RESULTS = ("loss", "validation_loss", "top1", "top5", "skipped_steps")


def run(
    recipe: Recipe,
    machine: Machine,
    data: Data,
    *,
    seed: int,
    folder: Path,
    loggers: Sequence[Logger] = (),
    evaluating: Sequence[lightning.Callback] = (),
) -> None:
    """Train ``recipe`` to its end; a partial run goes on, a finished one is left as it is.

    ``loggers`` and ``evaluating`` are :func:`repro.training.build.build`'s.

    A divergence is a result too: it is recorded, and starting the run again only tells of it.

    Raises:
        Diverged: training did not stay finite, now or when it was first run.
        RunError: the folder is in use, belongs to other data, or cannot be written.
        Preempted: a signal came; the checkpoint is written.
    """
    check(machine)
    if recipe.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts; torch insists on it
        # Every kernel writes all of what it allocates, which tests see to; filling it first would be a second write.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    with _writing(folder), _locked(folder):
        if is_complete(folder):
            refuse_other_data(folder, data)
            refuse_diverged(folder)
            return
        if is_first():
            record(folder, recipe, machine, data)
        try:
            build(recipe, machine, data, seed=seed, folder=folder, loggers=loggers, evaluating=evaluating).fit()
        except Diverged as stopped:
            _write_result(folder, diverged_at=stopped.since)
            raise
        _write_result(folder)


def is_complete(folder: Path) -> bool:
    """Whether the run in ``folder`` has come to its result: it reached the end of its budget, or diverged."""
    return (folder / RESULT).is_file()


def result(folder: Path) -> dict[str, Any]:
    """The last losses of a complete run, None for what is not finite; with ``diverged_at``, a step, if it diverged."""
    read: dict[str, Any] = json.loads((folder / RESULT).read_text())
    return read


def refuse_diverged(folder: Path) -> None:
    """Raise Diverged if the complete run in ``folder`` did: the same numbers would come out again."""
    step = result(folder).get("diverged_at")
    if step is not None:
        raise Diverged(
            f"already diverged, from step {step:,} on: {folder}; with another lr it is another run, and without its "
            f"{RESULT} it goes on from its last checkpoint",
            since=step,
        )


def _write_result(folder: Path, *, diverged_at: int | None = None) -> None:
    if not is_first():
        return
    rows = read_metrics(folder / "metrics.csv")
    last = {key: _finite(row[key]) for row in rows for key in RESULTS if row[key]}
    diverged = {"diverged_at": diverged_at} if diverged_at else {}
    content = {"steps": int(rows[-1]["step"]), **diverged, **last, "date": datetime.now(UTC).date().isoformat()}
    write_whole(folder / RESULT, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _finite(figure: str) -> float | None:
    """None for what JSON has no number for."""
    return float(figure) if math.isfinite(float(figure)) else None


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Tell in one line what the disk refuses.

    Raises:
        RunError: it is full, read-only, or not what was expected.
    """
    hook = threading.excepthook
    threading.excepthook = lambda args: None if args.exc_type is OSError else hook(args)  # TensorBoard's writer thread
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        kept = "; its complete checkpoints are untouched" if newest(folder) else ""
        raise RunError(f"cannot write {error.filename or folder}: {error.strerror}{kept}") from error
    finally:
        threading.excepthook = hook


def check(machine: Machine) -> None:
    """Refuse a machine that this process is not on.

    Raises:
        RunError: it has GPUs and torch finds none, or it has more devices than processes were started.
    """
    if machine.accelerator == "cuda" and not torch.cuda.is_available():
        raise RunError(
            f"machine {machine.name!r} has GPUs, and torch finds none here: `repro doctor` looks into it, "
            "--on cpu does without"
        )
    here = torch.cuda.device_count() if machine.accelerator == "cuda" else machine.devices
    if here < machine.devices:
        raise RunError(f"machine {machine.name!r} has {machine.devices} GPUs a node, and torch finds {here} here")
    if started() not in {machine.world_size, 1} or (started() == 1 < machine.nodes):
        raise RunError(
            f"machine {machine.name!r} has {machine.world_size} devices on {machine.nodes} nodes, but {started()} "
            f"process(es) were started; `repro launch` prints what starts them all"
        )


def _locked(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Hold the run folder, in the first process for all."""
    if not is_first():
        return contextlib.nullcontext()
    refusal = f"{folder} is in use by another process; wait for it, or use another --seed or --out"
    return held(folder / ".lock", refusal=refusal)
