"""Token shards: headerless little-endian token ids, the end of text after each document.

The bytes are those that `dolma tokens` writes and OLMo reads: uint16 for vocabularies up to 65,536, else uint32.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt

from repro import paths
from repro.data.corpora import Document, Split
from repro.errors import DataError
from repro.recipe.schema import Section

Tokens = NDArray[np.unsignedinteger[Any]]


class Shard(Section):
    """One file of tokens; ``file`` is its path in the set's folder."""

    file: str
    split: Split
    tokens: NonNegativeInt
    documents: NonNegativeInt
    bytes_of_text: NonNegativeInt
    sha256: str
    made_from: str  # digest of the tokenizer and the documents, by which a restart knows it


def stored_as(vocab_size: int) -> Literal["uint16", "uint32"]:
    """The type of a token on disk."""
    return "uint16" if vocab_size <= 2**16 else "uint32"


def dtype(vocab_size: int) -> np.dtype[np.unsignedinteger[Any]]:
    """The same for numpy, little-endian on every machine."""
    return np.dtype(stored_as(vocab_size)).newbyteorder("<")


def write(path: Path, batches: Iterable[NDArray[np.uint32]], vocab_size: int) -> tuple[int, str]:
    """Write the tokens of ``batches`` whole, and return their number and the file's sha256.

    Raises:
        DataError: a token id is beyond the vocabulary; nothing is written then.
    """
    parts = []
    for batch in batches:
        if batch.size and (largest := int(batch.max())) >= vocab_size:
            raise DataError(f"{path}: token id {largest} is beyond the vocabulary: expected ids below {vocab_size}")
        parts.append(batch.astype(dtype(vocab_size)).tobytes())
    raw = b"".join(parts)
    paths.write_whole(path, raw)
    return len(raw) // dtype(vocab_size).itemsize, hashlib.sha256(raw).hexdigest()


def read(path: Path, vocab_size: int) -> Tokens:
    """The tokens in ``path``, ``(tokens,)``, mapped into memory and not yet read."""
    tokens: Tokens = np.asarray(np.memmap(path, dtype=dtype(vocab_size), mode="r"))
    return tokens


def sha256(path: Path) -> str:
    """The digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
