"""What several processes write to: held by one at a time, and told in one line where the disk refuses."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from repro.errors import RunError


@contextlib.contextmanager
def held(lock: Path, *, refusal: str | None = None) -> Iterator[None]:
    """Hold the lock of a file, which goes with the process, however it ends.

    Args:
        lock: the file, made if it is not there.
        refusal: what a person is told if another process has it; without it that one is waited for.

    Raises:
        RunError: the refusal.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    at_once = 0 if refusal is None else fcntl.LOCK_NB
    with lock.open("a") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | at_once)  # not flock: a killed run's workers would still hold it
        except (BlockingIOError, PermissionError):
            raise RunError(refusal) from None
        yield


@contextlib.contextmanager
def told(path: Path, also: str = "") -> Iterator[None]:
    """Tell in one line what the disk refuses of ``path``, or of a file in it, and ``also``.

    Raises:
        RunError: it is full, read-only, or not what was expected.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:  # no disk's
            raise
        raise RunError(f"cannot write {error.filename or path}: {error.strerror}{also}") from error
