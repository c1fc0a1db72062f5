"""A file of tokens that another program wrote, as it lies on the disk."""

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from repro.data import shards
from repro.data.shards import Tokens
from repro.errors import DataError

_CHUNK = 2**20  # bytes at a time: what fits the caches is gone through three times at little more than one time's cost
_ANY = 2**32  # no tokenizer has so many ids; the smaller ones may be another's, which is told with an example
_TELLING = 64  # tokens of a document, by which one tokenizer is told from another


class Chunk(NamedTuple):
    """Consecutive tokens, valid until the next are read.

    Attributes:
        start: tokens before them.
        tokens: of shape ``(tokens,)``, in the file's own type.
        ends: how many tokens of the file lie before the end of each document that ends here.
    """

    start: int
    tokens: NDArray[np.integer[Any]]
    ends: NDArray[np.int64]


class Excerpt(NamedTuple):
    """The beginning of a document: its first token's position, its ids without the end of text, and if that is all."""

    start: int
    ids: list[int]
    is_whole: bool


@dataclass(frozen=True, slots=True)
class TokenFile(abc.ABC):
    """Tokens of whole documents, one after the other, each document with the end of text after it.

    Attributes:
        name: its path below the folder it was found in, with slashes.
        subset: the part of the corpus that it belongs to.
        path: where it lies.
        kind: what wrote it: ``dolma``, ``numpy`` or ``megatron``.
        dtype: of a token, such as ``<u2``; None where the vocabulary decides it.
        offset: bytes before the first token.
        size: bytes of tokens.
        documents: as its index counts them; None where it has none.
    """

    name: str
    subset: str
    path: Path
    kind: str
    dtype: str | None
    offset: int
    size: int
    documents: int | None

    @property
    def files(self) -> tuple[Path, ...]:
        """What it is read from."""
        return (self.path,)

    def stored_as(self, vocab_size: int) -> np.dtype[Any]:
        """The type of a token; without a header that of the vocabulary, as dolma and OLMo have it."""
        return np.dtype(self.dtype) if self.dtype else shards.dtype(vocab_size)

    def is_ours(self, vocab_size: int) -> bool:
        """Whether its bytes are those of a shard; signed integers of the same width are, as none is below 0."""
        stored = self.stored_as(vocab_size)
        little = stored == stored.newbyteorder("<")
        return little and not self.offset and stored.itemsize == shards.dtype(vocab_size).itemsize

    def tokens(self, vocab_size: int) -> int:
        """How many it holds.

        Raises:
            DataError: it ends within one.
        """
        itemsize = self.stored_as(vocab_size).itemsize
        if self.size % itemsize:
            raise DataError(
                f"{self.path} holds {self.size} bytes: expected a multiple of {itemsize}, since a vocabulary of "
                f"{vocab_size} is stored as {self.stored_as(vocab_size)}"
            )
        return self.size // itemsize

    def read(self, vocab_size: int, start: int, tokens: int) -> NDArray[np.integer[Any]]:
        """At most so many tokens from ``start`` on."""
        stored = self.stored_as(vocab_size)
        found = np.fromfile(self.path, stored, tokens, offset=self.offset + start * stored.itemsize)
        return found.astype(stored.newbyteorder("="), copy=False)

    @abc.abstractmethod
    def chunks(self, vocab_size: int, eos_id: int) -> Iterator[Chunk]:
        """All of it in order, in memory that does not depend on its size."""

    @abc.abstractmethod
    def border(self, vocab_size: int, eos_id: int, at: int) -> int:
        """Where the last document begins that begins at token ``at`` or before; ``at`` is not the file's end."""

    def excerpt(self, vocab_size: int, eos_id: int, *, share: float, most: int) -> Excerpt:
        """At most ``most`` tokens from the beginning of a document that lies about ``share`` into the file.

        Of those that begin there it is the first of some length, since a short one tells little.

        Raises:
            DataError: one is of no vocabulary at all.
        """
        bounds = self._bounds(vocab_size, eos_id, share)
        lengths = np.minimum(np.diff(bounds), most)
        which = int(np.minimum(lengths, _TELLING).argmax())
        start = int(bounds[which])
        found = self.read(vocab_size, start, int(lengths[which]))
        ids = self.unsigned(start, found, vocab_size, below=_ANY).tolist()
        is_whole = ids[-1:] == [eos_id]
        return Excerpt(start, ids[:-1] if is_whole else ids, is_whole)

    def unsigned(
        self, start: int, tokens: NDArray[np.integer[Any]], vocab_size: int, *, below: int | None = None
    ) -> Tokens:
        """The same bits without a sign, by which ids below 0 become larger than any vocabulary.

        Args:
            start: tokens before them.
            tokens: of this file, one at least.
            vocab_size: of the tokenizer.
            below: what none may reach; the vocabulary's size by default.

        Raises:
            DataError: one does.
        """
        unsigned: Tokens = tokens.view(np.dtype(f"u{tokens.dtype.itemsize}"))
        bound = min(below or vocab_size, np.iinfo(tokens.dtype).max + 1)
        if int(unsigned.max()) >= bound:
            first = int((unsigned >= bound).argmax())
            raise DataError(
                f"{self.path}: token id {tokens[first]} at position {start + first} is not of the vocabulary: "
                f"expected ids from 0 to {vocab_size - 1}"
            )
        return unsigned

    @abc.abstractmethod
    def _bounds(self, vocab_size: int, eos_id: int, share: float) -> NDArray[np.int64]:
        """Where some consecutive documents about ``share`` into the file begin, and where the last of them ends."""

    def _pass(self, vocab_size: int) -> Iterator[tuple[int, NDArray[np.integer[Any]]]]:
        """The tokens chunk by chunk, with the number of those before."""
        stored, left, start = self.stored_as(vocab_size), self.tokens(vocab_size), 0
        buffer = np.empty(_CHUNK // stored.itemsize, stored)
        with self.path.open("rb") as file:
            file.seek(self.offset)
            while left:
                chunk = buffer[:left]
                if file.readinto(chunk.view(np.uint8).data) < chunk.nbytes:
                    raise DataError(f"{self.path} became shorter while it was read: leave it as it is and start again")
                yield start, chunk.astype(stored.newbyteorder("="), copy=False)
                start, left = start + chunk.size, left - chunk.size
