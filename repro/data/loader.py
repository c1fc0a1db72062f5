"""A loader whose position is the trainer's step, and its workers."""

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from repro.errors import RunError
from repro.recipe.machine import cores


class StepLoader(DataLoader[Any]):
    """A loader that has no state of its own, and says so to Lightning: where to go on follows from the optimizer step.

    Args:
        samples: what a list of numbers is read from.
        batches: such a list for each batch.
        workers: processes that read, at most one a core of this machine, since they change no number; 0 reads in the
            training process.
        on_gpu: whether batches are copied to a GPU.
        prefetched: batches of each worker that wait; torch's 2 by default.
    """

    def __init__(
        self,
        samples: Dataset[Any],
        batches: Iterable[Any],
        *,
        workers: int,
        on_gpu: bool,
        prefetched: int | None = None,
    ) -> None:
        super().__init__(
            samples,
            batch_sampler=batches,
            num_workers=min(workers, cores()),
            prefetch_factor=prefetched if workers else None,
            collate_fn=_as_it_is,
            pin_memory=on_gpu,
            generator=torch.Generator(),  # a loader draws a number for its workers; not from the model's generator
        )

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Start the workers with signals held back from them: a terminal sends Ctrl-C to them too, and the training
        process, which gets it, still needs them.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1})
        try:
            return super().__iter__()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""


@contextmanager
def killed_workers_told() -> Iterator[None]:
    """Says in one line that a worker is gone, which torch raises wherever the training process happens to be.

    Raises:
        RunError: a worker was killed.
    """
    try:
        yield
    except RuntimeError as error:
        said = str(error).partition("\n")[0].partition(". ")[0]
        if not said.startswith("DataLoader worker"):
            raise
        raise RunError(
            f"a process that reads data ended ({said}), as happens when memory or /dev/shm is full; "
            "the same command goes on from the last checkpoint, with data.workers=1 in less memory"
        ) from error


def _as_it_is(batch: Any) -> Any:
    return batch
