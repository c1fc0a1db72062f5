"""Token shards: headerless little-endian token ids, the end of text after each document.

The bytes are those that `dolma tokens` writes and OLMo reads: uint16 for vocabularies up to 65,536, else uint32.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt

from repro import paths
from repro.data.corpora import Document, Split
from repro.errors import DataError
from repro.recipe.schema import Section

Tokens = NDArray[np.unsignedinteger[Any]]
_LONGEST_NAME = 60  # characters of a subset that are kept
_READ = 2**20  # bytes at a time


class Shard(Section):
    """Consecutive tokens of one file; ``file`` is its path in the set's folder.

    Attributes:
        subset: the part of the corpus that it belongs to; empty where there are none.
        start: tokens of the file before the first; not 0 where an imported file is cut into both splits.
        bytes_of_text: in UTF-8; not known of imported tokens.
        sha256: of these tokens.
    """

    file: str
    split: Split
    subset: str = ""
    start: NonNegativeInt = 0
    tokens: NonNegativeInt
    documents: NonNegativeInt
    bytes_of_text: NonNegativeInt | None
    sha256: str

    def windows(self, context: int) -> int:
        """How many of ``context + 1`` tokens, each of which begins with the last token of the one before it."""
        return max(0, self.tokens - 1) // context


class Total(Section):
    """What one split holds."""

    tokens: NonNegativeInt
    documents: NonNegativeInt
    bytes_of_text: NonNegativeInt | None  # not known of imported tokens


def total(own: Sequence[Shard]) -> Total:
    """What the shards of a split hold."""
    texts = [shard.bytes_of_text for shard in own]
    return Total(
        tokens=sum(shard.tokens for shard in own),
        documents=sum(shard.documents for shard in own),
        bytes_of_text=None if None in texts else sum(text for text in texts if text is not None),
    )


class Stored(NamedTuple):
    """Bytes of a file below a set's folder: ``length`` of them from ``start`` on, or all."""

    file: str
    start: int
    length: int | None
    sha256: str

    def is_whole(self, folder: Path) -> bool:
        """Whether they are there and unaltered."""
        path = folder / self.file
        return path.is_file() and sha256(path, start=self.start, length=self.length) == self.sha256

    def size(self, folder: Path) -> int:
        """Bytes of it, or those there are."""
        return size(folder / self.file) if self.length is None else self.length


def size(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.is_file() else 0


def file_of(split: Split, subset: str, piece: str) -> str:
    """What the shard of a piece is called, such as ``train/c4-00012.bin``: by its number, and first by its subset."""
    spelt, number = re.sub(r"[^\w.-]", "_", subset)[:_LONGEST_NAME], piece.rpartition("-")[2]
    return f"{split}/{spelt}-{number}.bin" if spelt else f"{split}/{number}.bin"


def stored_as(vocab_size: int) -> Literal["uint16", "uint32"]:
    """The type of a token on disk."""
    return "uint16" if vocab_size <= 2**16 else "uint32"


def dtype(vocab_size: int) -> np.dtype[np.unsignedinteger[Any]]:
    """The same for numpy, little-endian on every machine."""
    return np.dtype(stored_as(vocab_size)).newbyteorder("<")


class Writer:
    """Takes the tokens of a shard as they come, in memory of one batch."""

    def __init__(self, file: BinaryIO, name: str, vocab_size: int) -> None:
        self.tokens, self._digest = 0, hashlib.sha256()
        self._file, self._name, self._vocab_size = file, name, vocab_size

    @property
    def sha256(self) -> str:
        """Of what was added so far."""
        return self._digest.hexdigest()

    def add(self, ids: NDArray[np.uint32]) -> None:
        """Append ``ids``, ``(tokens,)``.

        Raises:
            DataError: one is beyond the vocabulary.
        """
        if ids.size and (largest := int(ids.max())) >= self._vocab_size:
            raise DataError(
                f"{self._name}: token id {largest} is beyond the vocabulary: expected ids below {self._vocab_size}"
            )
        raw = ids.astype(dtype(self._vocab_size)).tobytes()
        self._file.write(raw)
        self._digest.update(raw)
        self.tokens += ids.size


@contextmanager
def writing(path: Path, vocab_size: int) -> Iterator[Writer]:
    """A shard that is there when it is complete; nothing of it stays if it fails."""
    with paths.whole(path) as file:
        yield Writer(file, str(path), vocab_size)


def read(path: Path, vocab_size: int, *, start: int = 0, tokens: int | None = None) -> Tokens:
    """The tokens in ``path`` from ``start`` on, ``(tokens,)``, mapped into memory and not yet read."""
    kind = dtype(vocab_size)
    mapped: Tokens = np.asarray(
        np.memmap(path, dtype=kind, mode="r", offset=start * kind.itemsize, shape=None if tokens is None else (tokens,))
    )
    return mapped


def sha256(path: Path, *, start: int = 0, length: int | None = None) -> str:
    """The digest of a file, or of ``length`` bytes of it from ``start`` on, at the speed of the disk."""
    with path.open("rb") as file:
        if length is None:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256()
        file.seek(start)
        while length and (raw := file.read(min(length, _READ))):
            digest.update(raw)
            length -= len(raw)
        return digest.hexdigest()


def groups(documents: Iterable[Document], shard_bytes: int) -> Iterable[list[Document]]:
    """Consecutive documents, a new group as soon as one holds ``shard_bytes`` of text."""
    group: list[Document] = []
    size = 0
    for document in documents:
        group.append(document)
        size += document.n_bytes
        if size >= shard_bytes:
            yield group
            group, size = [], 0
    if group:
        yield group
