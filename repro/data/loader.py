"""A loader whose position is the trainer's step, and who reads ahead for it: worker processes, or one thread."""

import atexit
import signal
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
        workers: processes that read, at most one a core of this machine, since they change no number. To take a batch
            over from one costs the training process one or two milliseconds.
        on_gpu: whether batches are copied to a GPU.
        prefetched: batches that wait, of each worker; without workers, those that a thread of the training process has
            read before they are asked for, and 0 reads a batch when it is.
    """

    def __init__(
        self,
        samples: Dataset[Any],
        batches: Iterable[Any],
        *,
        workers: int,
        on_gpu: bool,
        prefetched: int = 2,
    ) -> None:
        self.prefetched = prefetched
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
        """Start the workers, or the thread, with signals held back from them: a terminal sends Ctrl-C to workers too,
        and the training process, which gets it, still needs them.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1})
        try:
            batches = super().__iter__()
            if self.num_workers:
                atexit.register(_end_workers, weakref.ref(batches))
            elif self.prefetched:
                return _Ahead(batches, self.prefetched, pinned=self.pin_memory)
            return batches
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""


class _Ahead:
    """Batches that a thread reads, and pins, before they are asked for.

    It reads one for each that is taken and then waits, and an executor's thread ends with the process or when nobody
    holds the executor any longer. So an iteration can be broken off anywhere. What reading raises, the end included,
    is raised where the batch is asked for.
    """

    def __init__(self, batches: Iterator[Any], number: int, *, pinned: bool) -> None:
        device = torch.accelerator.current_device_index() if pinned else None
        self._batches = batches
        self._thread = ThreadPoolExecutor(1, "reads batches", initializer=_begin, initargs=(device,))
        self._read = deque(self._thread.submit(next, batches) for _ in range(number))

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self._read.append(self._thread.submit(next, self._batches))
        return self._read.popleft().result()


def _begin(device: int | None) -> None:
    """What torch's own thread that pins begins with: a copy takes one core, and no other GPU gets a context."""
    if device is not None:
        torch.set_num_threads(1)
        torch.accelerator.set_device_index(device)


def _end_workers(batches: "weakref.ref[Any]") -> None:
    """End the workers of an iteration that the process ends amid: Python waits for them after a SIGTERM, which they
    hold back.
    """
    if (there := batches()) is not None:
        there._shutdown_workers()


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
