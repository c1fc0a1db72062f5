"""One checkpoint format at every world size: a folder of shards, committed by its name.

``step-00000100/`` holds torch's distributed checkpoint of weights and optimizer (``.metadata``, ``*.distcp``) and
``progress.pt`` with the rest: loops, schedules, callbacks, the recipe's fingerprint. It is written under another name
and renamed when it is whole, so whatever is called ``step-...`` and has its metadata is complete.
"""

import contextlib
import pickle
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import (
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.optim import Optimizer

from repro.errors import RunError

_PROGRESS = "progress.pt"


def name(step: int) -> str:
    """What the checkpoint of an optimizer step is called."""
    return f"step-{step:08d}"


def step_of(path: Path) -> int:
    """The optimizer step after which a checkpoint was written."""
    return int(path.name.removeprefix("step-"))


def complete(folder: Path) -> list[Path]:
    """The complete checkpoints of a folder, oldest first."""
    found = [path for path in folder.glob("step-*") if (path / ".metadata").is_file() and (path / _PROGRESS).is_file()]
    return sorted(found, key=step_of)


def refuse_other(path: Path, recipe: str) -> None:
    """Raise a RunError if the checkpoint was not written by the recipe with this fingerprint."""
    found = _progress(path)["recipe"]
    if found != recipe:
        raise RunError(
            f"{path} is a checkpoint of another recipe: its fingerprint is {found}, expected {recipe}; "
            "remove it, or use another --out"
        )


def state_of(model: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """Weights and optimizer state, both by parameter name and sharded as the model is."""
    return {"model": get_model_state_dict(model), "optimizer": get_optimizer_state_dict(model, optimizer)}


def write(path: Path, state: dict[str, Any], progress: dict[str, Any], *, rank: int = 0) -> None:
    """Write a checkpoint; called by every rank.

    Raises:
        RunError: the disk is full or read-only; the checkpoints that were there are untouched.
    """
    aside = path.with_name(f".writing-{path.name}")
    try:
        _save(state, aside)  # makes the folder, whichever rank comes first
        if rank == 0:
            torch.save(progress, aside / _PROGRESS)
            aside.rename(path)
    except (OSError, RuntimeError, CheckpointException) as error:
        cause = _cause(error, aside)
        if rank == 0:
            shutil.rmtree(aside, ignore_errors=True)
        raise RunError(f"cannot write the checkpoint {path}: {cause}; earlier checkpoints are untouched") from error


def remove(path: Path) -> None:
    """Remove a checkpoint; one that is half gone is not taken for complete."""
    shutil.rmtree(path.rename(path.with_name(f".removing-{path.name}")))


def sweep(folder: Path) -> None:
    """Remove what a killed process left: checkpoints that were being written or removed."""
    for path in [*folder.glob(".writing-*"), *folder.glob(".removing-*")]:
        shutil.rmtree(path)


def read(path: Path, model: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """Load weights and optimizer state in place, on any number of ranks, and return the progress."""
    state = state_of(model, optimizer)
    with _readable(path), _alone_on_purpose():
        load(state, checkpoint_id=path, no_dist=not dist.is_initialized())
    set_model_state_dict(model, state["model"])
    set_optimizer_state_dict(model, optimizer, state["optimizer"])
    return _progress(path)


def _progress(path: Path) -> dict[str, Any]:
    with _readable(path):
        progress: dict[str, Any] = torch.load(path / _PROGRESS, weights_only=True)
    return progress


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, CheckpointException) as error:
        raise RunError(
            f"cannot read the checkpoint {path}: {_cause(error, path)}; remove it to go on from an earlier one"
        ) from error


def _save(state: dict[str, Any], folder: Path) -> None:
    with _alone_on_purpose():
        save(state, checkpoint_id=folder, no_dist=not dist.is_initialized())


@contextlib.contextmanager
def _alone_on_purpose() -> Iterator[None]:
    """Silence torch's guess that a single process meant to start more."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable or uninitialized")
        yield


def _cause(error: BaseException, path: Path) -> str:
    """What the disk said, in a line: torch wraps it in a report of every rank, or says only where its writer stood."""
    if isinstance(error, CheckpointException):
        error = next(iter(error.failures.values()))[0]
    there = next(folder for folder in path.absolute().parents if folder.is_dir())
    if shutil.disk_usage(there).free < 2**20:
        return "no space left on the disk"
    return (str(error).splitlines() or [type(error).__name__])[0]
