"""A safetensors file on its way to the disk: room for it first, then aside, and renamed when it is whole.

The format is eight bytes that say how long the header is, the header in JSON, and the numbers one after the other. The
library's own writer would need all of them in memory.
"""

import json
import shutil
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from repro import paths
from repro.errors import RunError
from repro.interop.exporting.pieces import Piece
from repro.training.holding import told

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def make_room(path: Path, size: int) -> None:
    """Make the folder of ``path``, before minutes of reading.

    Raises:
        RunError: there is less room than ``size`` bytes, or the disk refuses.
    """
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
    if free < size:
        raise RunError(f"cannot write {path}: it needs {amount(size)}, and its disk has {amount(free)} left")


def in_order(pieces: Iterable[Piece]) -> list[Piece]:
    """As a file has them: wider numbers first, so that each stands at a multiple of its width."""
    return sorted(pieces, key=lambda piece: -piece.outline.itemsize)


def write(path: Path, pieces: Sequence[Piece], tensors: Iterator[Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file, whole or not at all.

    Args:
        path: where.
        pieces: what it holds, :func:`in_order`.
        tensors: the next of these are theirs.
        metadata: what it says of itself.

    Raises:
        RunError: the disk refuses, or the checkpoint cannot be read.
    """
    with told(path), paths.whole(path) as file:
        file.write(_header(pieces, metadata))
        for _, tensor in zip(pieces, tensors, strict=False):
            file.write(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)


def _header(pieces: Sequence[Piece], metadata: dict[str, str]) -> bytes:
    header: dict[str, object] = {"__metadata__": metadata}
    end = 0
    for piece in pieces:
        start, end = end, end + piece.size
        shape, dtype = list(piece.outline.shape), DTYPES[piece.outline.dtype]
        header[piece.name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def amount(size: float) -> str:
    """So many bytes, for a person."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.2f} MB"
