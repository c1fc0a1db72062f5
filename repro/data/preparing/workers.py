"""Processes that tokenise, one piece at a time each, beside the one that people talk to.

Each has a pipe to a thread of the parent. It says how far it is, then what came out. A parent that is killed closes its
ends of the pipes, which ends the workers; a worker that is killed is told as such, and nothing of its piece stays.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from repro.errors import DataError

T = TypeVar("T")
Told = Callable[[int], None]
Work = Callable[[Told], T]  # pickled, so a function of a module, or a partial of one
_OFTEN = 0.2  # seconds between two words about progress
_NICE = 3  # seconds that a worker has to clean up after itself


class Worker:
    """A process that does one piece of work after another; the thread that uses it waits meanwhile."""

    def __init__(self, n_threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would take the parent's threads' locks along
        self._here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, n_threads), daemon=True)
        self._process.start()
        there.close()

    def __call__(self, work: Work[T], told: Told) -> T:
        """What ``work`` returns; ``told`` is called with what it says of its progress.

        Raises:
            DataError: the process was killed.
            Exception: what the work raises.
        """
        try:
            self._here.send(work)
            while isinstance(said := self._here.recv(), int):
                told(said)
        except (EOFError, ConnectionError):
            raise DataError(_killed(self._process)) from None
        if isinstance(said, BaseException):
            raise said
        (result,) = said
        return result  # type: ignore[no-any-return]

    def end(self) -> None:
        """Whatever it is doing."""
        self._process.terminate()
        self._process.join(_NICE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _killed(process: Any) -> str:
    process.join(_NICE)
    code = process.exitcode
    how = f"by {signal.Signals(-code).name}" if code and code < 0 else f"with exit code {code}"
    return (
        f"a process that tokenised ended {how}, as when memory runs out: what is finished stays; "
        "run the same command again, with fewer processes=N if memory is short"
    )


def _serve(pipe: Connection, n_threads: int) -> None:
    """In the worker: do what is sent until the other end is closed."""
    signal.signal(signal.SIGTERM, _leave)
    os.environ["RAYON_NUM_THREADS"] = str(n_threads)
    os.environ["TOKENIZERS_PARALLELISM"] = str(n_threads > 1).lower()
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            work = pipe.recv()
            try:
                said: Any = (work(_sparing(pipe)),)
            except ConnectionError:
                raise
            except Exception as error:
                said = error
            pipe.send(said)


def _leave(number: int, frame: Any) -> None:
    raise SystemExit(128 + number)  # so that files that are being written are removed


def _sparing(pipe: Connection) -> Told:
    """Sends how far the work is, but not more than a few times a second."""
    last = 0.0

    def told(done: int) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= _OFTEN:
            last = now
            pipe.send(done)

    return told


@contextlib.contextmanager
def workers(n: int, n_threads: int) -> Iterator[Sequence[Worker]]:
    """So many processes, ended at the end."""
    every: list[Worker] = []
    try:
        with _interrupted_later():
            for _ in range(n):
                every.append(Worker(n_threads))  # one by one, so that those there are ended if the next fails
        yield every
    finally:
        for worker in every:
            worker.end()


@contextlib.contextmanager
def _interrupted_later() -> Iterator[None]:
    """Ctrl-C, which a terminal sends to all processes, reaches the parent only, which ends the others, and only when
    it has started them: one that was not yet told what it is to do would complain.
    """
    resource_tracker.ensure_running()  # it comes with the first process, and would undo the mask
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # which they inherit
    came: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, lambda number, frame: came.append(number)) if main else None
    try:
        yield
    finally:
        if main:
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number in came[:1]:
            signal.raise_signal(number)
