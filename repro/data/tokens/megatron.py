"""Megatron's indexed data sets: tokens in ``NAME.bin``, and where they begin and end in ``NAME.idx``.

The index, little-endian: the magic; the version as uint64; the code of the tokens' type as uint8; the numbers of
sequences and of borders between documents as uint64; the sequences' lengths as int32; the bytes before each as int64;
for each border the sequences before it as int64. `preprocess_data.py` makes a document one sequence, or one a sentence.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.data.tokens.token_file import Chunk, TokenFile
from repro.errors import DataError

SUFFIX = ".idx"
_MAGIC = b"MMIDIDX\x00\x00"
_VERSION = 1
_HEADER = struct.Struct("<9sQBQQ")
_TYPES = {1: "|u1", 2: "|i1", 3: "<i2", 4: "<i4", 5: "<i8", 6: "<f8", 7: "<f4", 8: "<u2"}
_BLOCK = 2**16  # entries of the index at a time
_NEAR = 64  # documents to choose an excerpt from


def recognised(path: Path, *, name: str, subset: str) -> TokenFile | None:
    """The tokens that the index ``path`` belongs to; None where it is no index and nothing lies beside it.

    Raises:
        DataError: it is another kind or version of index or not in order, or its file of tokens is not there or not of
            its size.
    """
    tokens = path.with_suffix(".bin")
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
    if not head.startswith(_MAGIC) and not tokens.is_file():
        return None
    index = _Index(path, *_header(path, head))
    size = index.size()
    if not tokens.is_file():
        raise DataError(f"{path} has no tokens: expected {tokens.name} beside it")
    if (found := tokens.stat().st_size) != size:
        raise DataError(f"{tokens} holds {found} bytes: expected {size}, as {path.name} beside it says")
    if not size:
        raise DataError(f"{tokens} holds no tokens: remove it and its index, or write them again")
    index.check()
    name = str(Path(name).with_suffix(".bin"))
    return Indexed(name, subset, tokens, "megatron", index.dtype, 0, size, index.documents)


def _header(path: Path, head: bytes) -> tuple[str, int, int]:
    """The tokens' type, and the numbers of sequences and of documents."""
    if not head.startswith(_MAGIC) or len(head) < _HEADER.size:
        raise DataError(
            f"{path} begins with {head[:9]!r}: expected the {_HEADER.size} bytes that begin with {_MAGIC!r}"
        )
    _, version, code, sequences, borders = _HEADER.unpack(head)
    if version != _VERSION:
        raise DataError(f"{path} is a Megatron index of version {version}: expected version {_VERSION}")
    dtype = _TYPES.get(code, f"type {code}")
    if np.dtype(_TYPES.get(code, "f")).kind == "f":
        raise DataError(f"{path} says that its tokens are of {dtype}: expected one of Megatron's integer types")
    expected = _HEADER.size + 12 * sequences + 8 * borders
    if (found := path.stat().st_size) != expected or not borders:
        raise DataError(
            f"{path} holds {found} bytes: expected {expected} for {sequences} sequences of text and the {borders} "
            "borders of their documents"
        )
    return dtype, sequences, borders - 1


@dataclass(frozen=True, slots=True)
class _Index:
    """What an index says; its arrays stay on the disk and are gone through in order."""

    path: Path
    dtype: str
    sequences: int
    documents: int

    @property
    def lengths(self) -> NDArray[np.int32]:
        return self._array("<i4", _HEADER.size, self.sequences)

    @property
    def begins(self) -> NDArray[np.int64]:
        return self._array("<i8", _HEADER.size + 4 * self.sequences, self.sequences)

    @property
    def borders(self) -> NDArray[np.int64]:
        return self._array("<i8", _HEADER.size + 12 * self.sequences, self.documents + 1)

    def size(self) -> int:
        """Bytes of tokens, by the last sequence."""
        if not self.sequences:
            return 0
        return int(self.begins[-1]) + int(self.lengths[-1]) * np.dtype(self.dtype).itemsize

    def ends(self, first: int = 0) -> Iterator[NDArray[np.int64]]:
        """How many tokens lie before the end of each document from the ``first`` on, some thousand at a time."""
        begins, borders, itemsize = self.begins, self.borders, np.dtype(self.dtype).itemsize
        last = self.size() // itemsize
        for start in range(first + 1, self.documents + 1, _BLOCK):
            after = borders[start : start + _BLOCK]
            at = begins[np.minimum(after, self.sequences - 1)] // itemsize
            yield np.where(after < self.sequences, at, last)

    def check(self) -> None:
        """Refuse an index whose sequences and documents are not all of the file, one after the other."""
        itemsize, before, sequence = np.dtype(self.dtype).itemsize, 0, 0
        for start in range(0, self.sequences, _BLOCK):
            lengths = self.lengths[start : start + _BLOCK].astype(np.int64)
            after = before + itemsize * np.cumsum(lengths)
            if (lengths < 0).any() or (self.begins[start : start + _BLOCK] != after - itemsize * lengths).any():
                raise self._disordered("sequences")
            before = int(after[-1])
        for start in range(0, self.documents + 1, _BLOCK):
            steps = np.diff(self.borders[start : start + _BLOCK], prepend=sequence)
            if (steps < 0).any() or (start == 0 and steps[0]):
                raise self._disordered("documents")
            sequence += int(steps.sum())
        if sequence != self.sequences:
            raise self._disordered("documents")

    def _disordered(self, what: str) -> DataError:
        return DataError(
            f"{self.path} does not have all {what} one after the other: expected an index by Megatron's "
            "preprocess_data.py or merge_datasets.py"
        )

    def _array(self, dtype: str, offset: int, entries: int) -> NDArray[Any]:
        return np.asarray(np.memmap(self.path, dtype, "r", offset, (entries,)))


@dataclass(frozen=True, slots=True)
class Indexed(TokenFile):
    """Documents that an index tells apart; some may be empty."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The tokens and their index."""
        return self.path, self.path.with_suffix(SUFFIX)

    @property
    def _index(self) -> _Index:
        path = self.path.with_suffix(SUFFIX)
        with path.open("rb") as file:
            return _Index(path, *_header(path, file.read(_HEADER.size)))

    def chunks(self, vocab_size: int, eos_id: int) -> Iterator[Chunk]:
        """All of it.

        Raises:
            DataError: a document does not end with the end of text, or the index is not in order.
        """
        index = self._index
        index.check()
        blocks, waiting, number = index.ends(), np.empty(0, np.int64), 0
        for start, tokens in self._pass(vocab_size):
            stop = start + tokens.size
            while (waiting.size == 0 or waiting[-1] <= stop) and (more := next(blocks, None)) is not None:
                waiting = np.concatenate([waiting, more])
            ends, waiting = np.split(waiting, [np.searchsorted(waiting, stop, side="right")])
            self._check_ends(Chunk(start, tokens, ends), eos_id, number)
            number += ends.size
            yield Chunk(start, tokens, ends)

    def _check_ends(self, chunk: Chunk, eos_id: int, number: int) -> None:
        """``number`` documents lie before those that end here; one of no tokens may stand at the very beginning."""
        last = np.where(chunk.ends > chunk.start, chunk.tokens[chunk.ends - chunk.start - 1], eos_id)
        if (wrong := np.flatnonzero(last != eos_id)).size:
            raise DataError(
                f"{self.path}: document {number + int(wrong[0]) + 1} ends with the token id {last[wrong[0]]}, not with "
                f"the end of text ({eos_id}): expected tokens written with --append-eod and with this tokenizer; if "
                f"all documents end with {last[wrong[0]]}, give eos_id={last[wrong[0]]}"
            )

    def border(self, vocab_size: int, eos_id: int, at: int) -> int:
        """Where the last document begins that begins at token ``at`` or before."""
        found = 0
        for ends in self._index.ends():
            inside = ends[ends <= at]
            found = int(inside[-1]) if inside.size else found
            if inside.size < ends.size:
                break
        return found

    def _bounds(self, vocab_size: int, eos_id: int, share: float) -> NDArray[np.int64]:
        """Of some documents, the first of which begins there."""
        index = self._index
        first = int(share * index.documents)
        begin = next(index.ends(first - 1))[:1] if first else np.zeros(1, np.int64)
        return np.concatenate([begin, next(index.ends(first))[:_NEAR]])
