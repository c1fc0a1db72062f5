"""How a checkpoint reaches the disk: under another name while training goes on, and renamed when it is whole."""

import io
import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_saver import async_save, save

from repro.errors import RunError
from repro.paths import write_whole
from repro.training.checkpoints import FILES, PROGRESS, alone_on_purpose, cause, sizes


class Writing:
    """A checkpoint on its way to the disk, from a copy in the host's memory, while training goes on.

    All ranks make one together, and finish it together before they make another.

    Args:
        path: where it will be when it is whole.
        state: what :func:`state_of` gave; it is copied before this returns.
        progress: the rest, of the first rank.
        rank: this process's.
        group: ranks that talk to each other about it beside the training's own talk; None for a single process.
    """

    def __init__(
        self,
        path: Path,
        state: dict[str, Any],
        progress: dict[str, Any],
        *,
        rank: int = 0,
        group: dist.ProcessGroup | None = None,
    ) -> None:
        self.path, self.rank, self.group = path, rank, group
        self.aside = path.with_name(f".writing-{path.name}")
        written = io.BytesIO()
        torch.save(progress, written)
        self.committed = _then(_saved(state, self.aside, group), lambda: self._commit(written.getvalue()))

    def _commit(self, progress: bytes) -> None:
        """Called once all ranks have written, which the first of them knows."""
        if self.rank == 0:
            write_whole(self.aside / PROGRESS, progress)
            write_whole(self.aside / FILES, json.dumps(sizes(self.aside)))
            _sync(self.aside)
            self.aside.rename(self.path)
            _sync(self.path.parent)

    def settle(self) -> None:
        """Wait until it is whole or lost, whichever: this process is about to end."""
        wait([self.committed])

    def finish(self) -> None:
        """Wait until it is whole.

        Raises:
            RunError: on all ranks, if the disk of one is full or read-only; earlier checkpoints are untouched.
        """
        why = None
        try:
            self.committed.result()
        except (OSError, RuntimeError, CheckpointException) as error:
            why = cause(error, self.aside)
        if found := next(filter(None, _of_all(why, self.group)), None):
            if self.rank == 0:
                shutil.rmtree(self.aside, ignore_errors=True)
            raise RunError(f"cannot write the checkpoint {self.path}: {found}; earlier checkpoints are untouched")


def _saved(state: dict[str, Any], folder: Path, group: dist.ProcessGroup | None) -> "Future[Any]":
    """A future of all ranks' writing. A single process writes at once: it has no group's other half to wait for."""
    if group is not None:
        response = async_save(state, checkpoint_id=folder, process_group=group)
        assert isinstance(response, Future)  # a stager of one's own would make it something else
        return response
    done: Future[Any] = Future()
    try:
        with alone_on_purpose():
            save(state, checkpoint_id=folder, no_dist=True)
        done.set_result(None)
    except (OSError, RuntimeError, CheckpointException) as error:
        done.set_exception(error)
    return done


def _then(before: "Future[Any]", action: Callable[[], None]) -> "Future[None]":
    """A future of ``action``, done by the thread that ends ``before``, if that ends well."""
    after: Future[None] = Future()

    def go_on(ended: "Future[Any]") -> None:
        try:
            ended.result()
            action()
        except BaseException as error:
            after.set_exception(error)
        else:
            after.set_result(None)

    before.add_done_callback(go_on)
    return after


def _of_all(value: str | None, group: dist.ProcessGroup | None) -> list[str | None]:
    if group is None:
        return [value]
    values: list[str | None] = [None] * dist.get_world_size(group)
    dist.all_gather_object(values, value, group)
    return values


def _sync(folder: Path) -> None:
    """What a folder lists, after a power cut too."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
