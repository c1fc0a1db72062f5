"""The weights of a run in one file: the shards of a checkpoint put together, in one process and without a GPU.

Lightning's own tool fails on checkpoints of FSDP2 (``KeyError: 'model'``), and would take the optimizer along.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from repro.errors import RunError
from repro.training import checkpoints

NETWORKS = ("averaged", "network", "decoder")  # of a training module; the first that is there is what it evaluates


@dataclass(frozen=True)
class Evaluated:
    """The network of a checkpoint that validation evaluates: of averaged and trained weights the averaged ones.

    Attributes:
        checkpoint: where it lies.
        network: what the training module calls it.
        outline: its tensors by the model's own names, on the meta device.
    """

    checkpoint: Path
    network: str
    outline: dict[str, Tensor]

    @classmethod
    def of(cls, checkpoint: Path) -> "Evaluated":
        """What ``checkpoint`` holds, without reading the numbers."""
        tensors = checkpoints.outline(checkpoint)
        network = next(network for network in NETWORKS if any(name.startswith(f"{network}.") for name in tensors))
        whole = {name: tensor for name, tensor in tensors.items() if name.startswith(f"{network}.")}
        return cls(checkpoint, network, {name.partition(".")[2]: tensor for name, tensor in whole.items()})

    @property
    def size(self) -> int:
        """Bytes, in memory and in a file."""
        return sum(tensor.nbytes for tensor in self.outline.values())

    def read(self) -> dict[str, Tensor]:
        """Its weights and buffers by the model's own names, for ``load_state_dict``.

        Raises:
            RunError: the checkpoint cannot be read.
        """
        tensors = {name: torch.empty_like(tensor, device="cpu") for name, tensor in self.outline.items()}
        checkpoints.fill(self.checkpoint, {f"{self.network}.{name}": tensor for name, tensor in tensors.items()})
        return tensors


def make_room(path: Path, size: int) -> None:
    """Make the folder of ``path``, before minutes of reading.

    Raises:
        RunError: there is something else than a file, or less room than ``size`` bytes.
    """
    if path.exists() and not path.is_file():
        raise RunError(f"--out expects a file, and {path} is none; name one, such as weights.safetensors")
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
    if free < size:
        raise RunError(f"cannot write {path}: it needs {amount(size)}, and its disk has {amount(free)} left")


def write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str], *, like: Path) -> None:
    """Write a safetensors file, aside and renamed when it is whole; whoever can read ``like`` can read it.

    Raises:
        RunError: the disk refuses.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with _told(path):
            save_file(tensors, aside, metadata)
            shutil.copymode(like, aside)  # safetensors lets nobody but its owner read a file
            with aside.open("rb") as file:
                os.fsync(file.fileno())
            aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def amount(size: float) -> str:
    """So many bytes, for a person."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.2f} MB"


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        cause = error.strerror if isinstance(error, OSError) else str(error).splitlines()[0]
        raise RunError(f"cannot write {path}: {cause}") from error
