"""The weights of a checkpoint a few at a time, on their way to a file: a large model is never in memory whole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from repro.data.progress import Progress, silent
from repro.training import checkpoints
from repro.training.trained import Weights

AT_ONCE = 2**28  # bytes: a call reads the checkpoint's metadata again, for milliseconds


@dataclass(frozen=True)
class Piece:
    """A tensor of a file: one of the checkpoint's, or a part of it.

    Attributes:
        name: in the file.
        source: in the checkpoint, by the model's own name.
        part: which part of that, as an index; all of it if empty.
        outline: the tensor, on the meta device.
        times: another of the checkpoint's, of the same layer, with which that part is multiplied; none if empty.
    """

    name: str
    source: str
    part: tuple[int | slice, ...]
    outline: Tensor
    times: str = ""

    @classmethod
    def of(cls, weights: Weights, name: str, source: str, part: tuple[int | slice, ...] = ()) -> Self:
        """``source[part]`` of ``weights``, called ``name``."""
        return cls(name, source, part, weights.outline[source][part])

    @classmethod
    def product(cls, weights: Weights, name: str, left: str, right: str) -> Self:
        """``left @ right`` of ``weights``, called ``name``."""
        return cls(name, left, (), weights.outline[left] @ weights.outline[right], right)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.outline.nbytes


def read(weights: Weights, pieces: Sequence[Piece], progress: Progress = silent) -> Iterator[Tensor]:
    """The numbers of ``pieces``, in their order. Parts of one tensor are to follow each other.

    Raises:
        RunError: the checkpoint cannot be read.
    """
    done, total = 0, sum(piece.size for piece in pieces)
    for batch in _batches(weights, pieces):
        yield from _read(weights, batch)
        done += sum(piece.size for piece in batch)
        progress("export", done, total)


def _read(weights: Weights, pieces: list[Piece]) -> Iterator[Tensor]:
    names = [name for piece in pieces for name in (piece.source, piece.times) if name]
    sources = {name: torch.empty_like(weights.outline[name], device="cpu") for name in names}
    checkpoints.fill(weights.checkpoint, {f"{weights.network}.{name}": tensor for name, tensor in sources.items()})
    for piece in pieces:
        tensor = sources[piece.source][piece.part]
        yield tensor @ sources[piece.times] if piece.times else tensor


def _batches(weights: Weights, pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    batch: list[Piece] = []
    size = 0
    for piece in pieces:
        more = 0 if batch and batch[-1].source == piece.source else weights.outline[piece.source].nbytes
        if batch and more and size + more > AT_ONCE:
            yield batch
            batch, size = [], 0
        batch.append(piece)
        size += more
    yield batch
