"""What a preparation is guarded by: others that do the same, and a disk that refuses."""

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from repro.data.progress import Progress
from repro.errors import DataError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


@contextmanager
def disk_told(folder: Path) -> Iterator[None]:
    """Says in one line what the disk refused."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise DataError(f"cannot prepare {folder}: {error.strerror or error}{where}{_advice(error, folder)}") from error


def _advice(error: OSError, folder: Path) -> str:
    """What to do about the disk that the set lies on; a file of the corpus is another matter."""
    of_the_set = error.filename is None or Path(str(error.filename)).is_relative_to(folder.parents[1])
    if error.errno in _NO_ROOM or of_the_set:
        return "; free space there, or set REPRO_DATA to another folder"
    return ""


@contextmanager
def alone(folder: Path, progress: Progress) -> Iterator[None]:
    """Holds off other processes that prepare ``folder``; the system drops the lock of one that is killed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with lock_file(folder).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("wait for another process that prepares the same", 0, 0)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def lock_file(folder: Path) -> Path:
    """What is locked while ``folder`` is prepared."""
    return folder.with_name(f"{folder.name}.lock")


def downloads(folder: Path) -> Path:
    """Where fetched files wait until they are tokenised."""
    return folder.with_name(f"{folder.name}.downloads")
