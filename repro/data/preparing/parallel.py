"""Pieces of work by several processes, which threads of this one prepare and wait for."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TypeVar

from repro.data.preparing.workers import Worker, workers
from repro.data.progress import Progress, part_of

P = TypeVar("P")
R = TypeVar("R")
AHEAD = 2  # threads a process: while one waits for the process, another fetches what comes next
_NICE = 3  # seconds that threads have to end what they do; one that waits for a server may take minutes


class Stopped(Exception):
    """What ends a thread whose work nobody waits for any more."""


class Meter:
    """How far all pieces are, in bytes; told by several threads."""

    def __init__(self, progress: Progress, stage: str, total: int) -> None:
        self._progress, self._stage, self._total = progress, stage, total
        self._lock, self._done = threading.Lock(), Counter[str]()

    def __call__(self, piece: str, done: int, total: int) -> None:
        """A piece has ``done`` of its ``total`` bytes behind it."""
        with self._lock:
            self._done[piece] = done
            self._progress(part_of(piece), done, total)
            self._progress(self._stage, self._done.total(), self._total)


class Crew:
    """The processes, and whether they are still wanted."""

    def __init__(self, every: Sequence[Worker]) -> None:
        self._idle: SimpleQueue[Worker | None] = SimpleQueue()
        self._stopped = threading.Event()
        self.size = len(every)
        for worker in every:
            self._idle.put(worker)

    @contextmanager
    def free(self) -> Iterator[Worker]:
        """A process that has nothing to do, as soon as there is one.

        Raises:
            Stopped: none is wanted any more.
        """
        worker = self._idle.get()
        if worker is None:
            raise Stopped
        try:
            yield worker
        finally:
            self._idle.put(worker)

    def check(self) -> None:
        """Go on only if someone waits for it.

        Raises:
            Stopped: nobody does.
        """
        if self._stopped.is_set():
            raise Stopped

    def stop(self) -> None:
        """Let go of all threads, as soon as they ask."""
        self._stopped.set()
        for _ in range(AHEAD * self.size):
            self._idle.put(None)


def in_parallel(pieces: Sequence[P], do: Callable[[P, Crew], R], *, processes: int, threads: int) -> list[R]:
    """What ``do`` makes of each piece, in their order. The first error ends all that is under way, and is raised.

    Args:
        pieces: taken one after the other by whichever thread is free.
        do: called with a piece, in one of several threads.
        processes: that work.
        threads: of the tokenizer's in each process.
    """
    if not pieces:
        return []
    todo, taking = iter(enumerate(pieces)), threading.Lock()
    outcomes: SimpleQueue[tuple[int, R] | BaseException] = SimpleQueue()

    def serve(crew: Crew) -> None:
        while True:
            with taking:
                number, piece = next(todo, (None, None))
            if number is None or piece is None:
                return
            try:
                outcomes.put((number, do(piece, crew)))
            except BaseException as error:  # is raised where the outcomes are waited for
                outcomes.put(error)
                return

    with _joined() as started, workers(processes, threads) as every:
        crew = Crew(every)
        try:
            for _ in range(AHEAD * processes):
                started.append(threading.Thread(target=serve, args=[crew], daemon=True))
                started[-1].start()
            return _all(outcomes, len(pieces))
        finally:
            crew.stop()


@contextmanager
def _joined() -> Iterator[list[threading.Thread]]:
    """Threads that are waited for at the end, but not long, so that none of them writes to the set any more."""
    started: list[threading.Thread] = []
    try:
        yield started
    finally:
        deadline = time.monotonic() + _NICE
        for thread in filter(threading.Thread.is_alive, started):
            thread.join(max(0.0, deadline - time.monotonic()))


def _all(outcomes: "SimpleQueue[tuple[int, R] | BaseException]", n: int) -> list[R]:
    made: dict[int, R] = {}
    while len(made) < n:
        outcome = outcomes.get()
        if isinstance(outcome, BaseException):
            raise outcome
        made[outcome[0]] = outcome[1]
    return [made[number] for number in range(n)]
