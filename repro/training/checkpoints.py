"""One checkpoint format at every world size: a folder of shards, committed by its name.

``step-00000100/`` holds torch's distributed checkpoint of weights and optimizer (``.metadata``, ``*.distcp``) and
``progress.pt`` with the rest: loops, schedules, callbacks, the recipe's fingerprint. By ``files.json``, their sizes,
one is known to be whole. :mod:`repro.training.writing` writes it.
"""

import contextlib
import json
import pickle
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict import (
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.optim import Optimizer

from repro.errors import RunError

PROGRESS, FILES = "progress.pt", "files.json"


def name(step: int) -> str:
    """What the checkpoint of an optimizer step is called."""
    return f"step-{step:08d}"


def step_of(path: Path) -> int:
    """The optimizer step after which a checkpoint was written."""
    step: int = _progress(path)["global_step"]
    return step


def recipe_of(path: Path) -> str:
    """The fingerprint of the recipe that wrote a checkpoint."""
    fingerprint: str = _progress(path)["recipe"]
    return fingerprint


def complete(folder: Path) -> list[Path]:
    """The complete checkpoints of a folder, oldest first, as they say themselves: copies may have any name and time."""
    found = [path for path in folder.glob("[!.]*") if _is_whole(path)]
    return sorted(found, key=step_of)


def damaged(folder: Path) -> list[Path]:
    """What is called as a checkpoint is and lacks some of what belongs to one, in order."""
    return sorted(path for path in folder.glob("step-*") if not _is_whole(path) and path.is_dir())


def _is_whole(path: Path) -> bool:
    """Whether all that belongs to it is there."""
    try:
        listed: dict[str, int] = json.loads((path / FILES).read_text())
        return all((path / file).stat().st_size >= size for file, size in listed.items())
    except (OSError, ValueError, AttributeError, TypeError):
        return False


def sizes(path: Path) -> dict[str, int]:
    """Of its files, in bytes: shards as the metadata tells, since other nodes wrote them."""
    found = {name: (path / name).stat().st_size for name in (".metadata", PROGRESS)}
    for piece in (FileSystemReader(path).read_metadata().storage_data or {}).values():
        found[piece.relative_path] = max(found.get(piece.relative_path, 0), piece.offset + piece.length)
    return found


def refuse_other(path: Path, recipe: str) -> None:
    """Raise a RunError if the checkpoint was not written by the recipe with this fingerprint."""
    found = recipe_of(path)
    if found != recipe:
        raise RunError(
            f"{path} is a checkpoint of another recipe: its fingerprint is {found}, expected {recipe}; "
            "remove it, or use another --out"
        )


def state_of(model: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """Weights and optimizer state, both by parameter name and sharded as the model is."""
    return {"model": get_model_state_dict(model), "optimizer": get_optimizer_state_dict(model, optimizer)}


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
    with _readable(path), alone_on_purpose():
        load(state, checkpoint_id=path, no_dist=not dist.is_initialized())
    set_model_state_dict(model, state["model"])
    set_optimizer_state_dict(model, optimizer, state["optimizer"])
    return _progress(path)


def outline(path: Path) -> dict[str, Tensor]:
    """The weights and buffers of a checkpoint by the training module's names, on the meta device: without numbers."""
    with _readable(path):
        stored = FileSystemReader(path).read_metadata().state_dict_metadata
    return {
        name.removeprefix("model."): torch.empty(kept.size, dtype=kept.properties.dtype, device="meta")
        for name, kept in stored.items()
        if name.startswith("model.") and isinstance(kept, TensorStorageMetadata)
    }


def fill(path: Path, weights: dict[str, Tensor]) -> None:
    """Read some of the weights that :func:`outline` names, whole, into tensors of one process, and nothing else."""
    with _readable(path), alone_on_purpose():
        load({"model": weights}, checkpoint_id=path, no_dist=True)


def _progress(path: Path) -> dict[str, Any]:
    with _readable(path, RuntimeError):  # as a damaged archive is to torch
        progress: dict[str, Any] = torch.load(path / PROGRESS, weights_only=True)
    return progress


@contextlib.contextmanager
def _readable(path: Path, *also: type[BaseException]) -> Iterator[None]:
    """Tell what is wrong with files; that another rank is gone is no fault of theirs."""
    kinds: tuple[type[BaseException], ...] = (OSError, EOFError, pickle.UnpicklingError, CheckpointException, *also)
    try:
        yield
    except kinds as error:
        raise RunError(
            f"cannot read the checkpoint {path}: {cause(error, path)}; remove it to go on from an earlier one"
        ) from error


@contextlib.contextmanager
def alone_on_purpose() -> Iterator[None]:
    """Silence torch's guess that a single process meant to start more."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable or uninitialized")
        yield


def cause(error: BaseException, path: Path) -> str:
    """What the disk said, in a line: torch wraps it in a report of every rank, or says only where its writer stood."""
    if isinstance(error, CheckpointException):
        error = next(iter(error.failures.values()))[0]
    there = next(folder for folder in path.absolute().parents if folder.is_dir())
    if shutil.disk_usage(there).free < 2**20:
        return "no space left on the disk"
    return (str(error).splitlines() or [type(error).__name__])[0]
