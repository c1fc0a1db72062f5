"""What an evaluation has done so far, in a file beside the run, from which the same command goes on."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from repro.paths import write_whole
from repro.training.ranks import is_first


class Kept:
    """Arrays in one file, which the first rank reads and writes.

    Args:
        path: the file.
        identity: of what is evaluated; a file with another one is not read.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self.path, self.identity = path, identity

    def read(self) -> dict[str, NDArray[Any]]:
        """What was done before, as the first rank finds it, on all of them: it may have removed the file by the time
        that others look. Nothing if there is no such file, or it is another evaluation's.
        """
        found = [self._read() if is_first() else {}]
        if dist.is_initialized():
            dist.broadcast_object_list(found, device=torch.device("cpu"))
        return found[0]

    def _read(self) -> dict[str, NDArray[Any]]:
        if not self.path.is_file():
            return {}
        try:
            with np.load(io.BytesIO(self.path.read_bytes()), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return {}  # of a damaged one nothing can be told; what it held is computed again
        return arrays if str(arrays.pop("identity", "")) == self.identity else {}

    def write(self, **arrays: NDArray[Any]) -> None:
        """Take the place of what was there, whole or not at all."""
        if is_first():
            write_whole(self.path, archive(identity=np.array(self.identity), **arrays))

    def remove(self) -> None:
        """Once the result is written."""
        if is_first():
            self.path.unlink(missing_ok=True)


def archive(**arrays: NDArray[Any]) -> bytes:
    """A ``.npz`` of ``arrays``: the same bytes for the same numbers."""
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()
