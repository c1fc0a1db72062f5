"""How far a long piece of work is, for whoever wants to see it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich import progress as rich
from rich.console import Console
from rich.markup import escape

from repro.recipe.display import duration


class Progress(Protocol):
    """Called with the stage, and the bytes or pieces done of it; ``total`` is 0 where there is nothing to count."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show it."""


def silent(stage: str, done: int, total: int) -> None:
    """Shows nothing."""


PART = "  "  # what the stage of one of several things begins with


def part_of(name: str) -> str:
    """The stage of one of several things that are done at once; its bar goes when it is done."""
    return f"{PART}{name}"


@contextmanager
def bars(counted: rich.ProgressColumn | None = None) -> Iterator[Progress]:
    """One bar a stage, on a terminal, from the first stage on; gone when the work is done. Elsewhere, as in the log of
    a job, a line a minute.

    Args:
        counted: how far a stage is; by default in bytes.
    """
    how_far = counted or rich.DownloadColumn()
    times = (rich.TimeElapsedColumn(), rich.TimeRemainingColumn())
    live = rich.Progress(rich.TextColumn("{task.description}"), rich.BarColumn(), how_far, *times, transient=True)
    if not live.console.is_terminal:
        yield Lines(live.console)
        return
    shown = _Bars(live)
    try:
        yield shown
    finally:
        shown.end()


class _Bars:
    def __init__(self, live: rich.Progress) -> None:
        self._live, self._tasks, self._over = live, dict[str, rich.TaskID](), False

    def __call__(self, stage: str, done: int, total: int) -> None:
        if self._over:  # a thread that nobody waits for
            return
        self._live.start()
        if stage not in self._tasks:
            self._tasks[stage] = self._live.add_task(escape(stage))
            if not total:
                self._live.console.print(stage, highlight=False, markup=False, soft_wrap=True)
        self._live.update(self._tasks[stage], completed=done, total=total or None)
        if stage.startswith(PART) and done >= total:
            self._live.remove_task(self._tasks.pop(stage))

    def end(self) -> None:
        self._over = True
        self._live.stop()


class Lines:
    """Says how far a stage is, and how long it will take, once a minute."""

    def __init__(self, console: Console, seconds: float = 60.0) -> None:
        self._console, self._seconds = console, seconds
        self._said, self._stage, self._began, self._from = time.monotonic(), "", 0.0, 0
        self._told = set[str]()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show it, if it is time."""
        now = time.monotonic()
        if stage.startswith(PART):
            return
        if not total:
            self._once(stage)
            return
        if stage != self._stage:
            self._stage, self._began, self._from = stage, now, done
        if now - self._said >= self._seconds:
            self._said = now
            self._console.print(
                f"{stage}: {done / total:.1%}{self._left(done, total, now)}", highlight=False, markup=False
            )

    def _once(self, stage: str) -> None:
        """What waits for something, or is mended, is told as it begins."""
        if stage not in self._told:
            self._told.add(stage)
            self._console.print(stage, highlight=False, markup=False, soft_wrap=True)

    def _left(self, done: int, total: int, now: float) -> str:
        gained = done - self._from
        return f", {duration((now - self._began) * (total - done) / gained / 3600)} left" if gained else ""
