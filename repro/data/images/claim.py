"""A folder that holds what was made in one way, and nothing else."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from repro.errors import DataError

MARK = ".made"  # hidden, so that it is no image and no class


@contextmanager
def claimed(out: Path, made: str) -> Iterator[None]:
    """Have ``out``, made if it is not there, for this process alone until the end of the block.

    Args:
        out: a folder that is new, empty, or was claimed for the same before.
        made: how its files are made, in a line that a person can read; it is kept in the folder.

    Raises:
        DataError: it holds other files, was made otherwise, or another process has it.
    """
    if not (out / MARK).is_file() and out.is_dir() and any(out.iterdir()):
        raise DataError(f"out={out} holds other files: expected a folder that is new, empty or from this same command")
    out.mkdir(parents=True, exist_ok=True)
    with (out / MARK).open("a+") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"out={out} is in use by another process; wait for it, or give another out=") from None
        _sign(mark, out, made)
        yield


def _sign(mark: TextIO, out: Path, made: str) -> None:
    mark.seek(0)
    before = mark.read().strip()
    if before and before != made:
        raise DataError(f"out={out} was made with {before}, not with {made}: give another out=")
    if before:
        _sweep(out)
        return
    mark.write(f"{made}\n")
    mark.flush()


def _sweep(out: Path) -> None:
    """Remove what a process that was killed left: parts of files, as :func:`repro.paths.write_whole` names them."""
    for path in out.rglob(".*.*"):
        if path.suffix[1:].isdecimal() and path.is_file():
            path.unlink()
