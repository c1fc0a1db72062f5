"""From which checkpoint a run goes on."""

import time
from pathlib import Path

import torch.distributed as dist

from repro.errors import RunError
from repro.training import checkpoints

SEEN = 120.0  # seconds that a shared file system gets to show all nodes what one of them wrote


def newest(folder: Path) -> Path | None:
    """The newest complete checkpoint of a run folder, as this process sees it."""
    return next(reversed(checkpoints.complete(folder / "checkpoints")), None)


def of_all(folder: Path) -> Path | None:
    """The one that the first process sees, once this one sees it too.

    Raises:
        RunError: it does not appear here.
    """
    if not dist.is_initialized():
        return newest(folder)
    names = [path.name if (path := newest(folder)) else None]
    dist.broadcast_object_list(names)
    return _seen(folder / "checkpoints" / names[0]) if names[0] else None


def _seen(path: Path) -> Path:
    end = time.monotonic() + SEEN
    while path not in checkpoints.complete(path.parent):
        if time.monotonic() > end:
            raise RunError(f"{path} is not to be seen here; all nodes need to share the run's folder")
        time.sleep(1.0)
    return path
