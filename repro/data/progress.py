"""How far a long piece of work is, for whoever wants to see it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich import progress as rich


class Progress(Protocol):
    """Called with the stage, and the bytes or pieces done of it; ``total`` is 0 where there is nothing to count."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show it."""


def silent(stage: str, done: int, total: int) -> None:
    """Shows nothing."""


@contextmanager
def bars(counted: rich.ProgressColumn | None = None) -> Iterator[Progress]:
    """One bar a stage, on a terminal, from the first stage on; gone when the work is done.

    Args:
        counted: how far a stage is; by default in bytes.
    """
    how_far = counted or rich.DownloadColumn()
    times = (rich.TimeElapsedColumn(), rich.TimeRemainingColumn())
    live = rich.Progress(rich.TextColumn("{task.description}"), rich.BarColumn(), how_far, *times, transient=True)
    live.disable = not live.console.is_terminal
    tasks: dict[str, rich.TaskID] = {}

    def show(stage: str, done: int, total: int) -> None:
        live.start()
        if stage not in tasks:
            tasks[stage] = live.add_task(stage)
        live.update(tasks[stage], completed=done, total=total or None)

    try:
        yield show
    finally:
        live.stop()
