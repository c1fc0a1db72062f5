"""Token files of other programs as pieces of a prepared set: checked in one pass, and linked to, not copied.

``.npy`` of dolma and OLMo, one-dimensional numpy arrays, and Megatron's ``.bin`` with its ``.idx``. A file whose bytes
are those of a shard is linked to; others are converted. Either way one file serves both splits, a range for each.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro import paths
from repro.data import shards
from repro.data.corpora import Split
from repro.data.manifest import Longest, Piece
from repro.data.shards import Shard, Tokens
from repro.data.tokens import dolma, megatron
from repro.data.tokens.dolma import NoIds
from repro.data.tokens.token_file import TokenFile
from repro.errors import DataError

SPLIT_RULE = (
    "validation: of each file the last documents that hold 1/{held_out} of its tokens, unless that is all of it"
)
_RECOGNISED = {dolma.SUFFIX: dolma.recognised, megatron.SUFFIX: megatron.recognised}


def token_files(root: Path) -> tuple[TokenFile, ...]:
    """The token files below a folder, by name; or a single one, of Megatron's also by the prefix of its two files.

    Raises:
        NoIds: there are none but arrays of something else.
        DataError: one cannot be used.
    """
    found, other = list[TokenFile | None](), None
    for name, path in sorted(_candidates(root)):
        try:
            found.append(recognised(path, name=name, subset=_subset(root, name)))
        except NoIds as error:
            other = other or error
    files = tuple(filter(None, found))
    if other and files:
        raise DataError(str(other)) from other
    if other:
        raise other
    return files


def recognised(path: Path, *, name: str, subset: str) -> TokenFile | None:
    """The tokens in ``path``, or that the index ``path`` belongs to; None where it holds none.

    Raises:
        DataError: they cannot be used.
    """
    recognise = _RECOGNISED.get(path.suffix)
    return recognise(path, name=name, subset=subset) if recognise else None


def _candidates(root: Path) -> Iterator[tuple[str, Path]]:
    if not root.is_dir():
        index = root.with_name(root.name.removesuffix(".bin") + megatron.SUFFIX)
        path = root if root.suffix in _RECOGNISED else index
        if path.is_file():
            yield path.name, path
        return
    entered: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        entered.add(os.path.realpath(folder))
        folders[:] = [
            name for name in folders if not name.startswith(".") and os.path.realpath(Path(folder, name)) not in entered
        ]
        for path in (Path(folder, name) for name in names if not name.startswith(".")):
            if path.suffix in _RECOGNISED and path.is_file():
                yield path.relative_to(root).as_posix(), path


def _subset(root: Path, name: str) -> str:
    """The first folder below the root, or what the root is called."""
    below, _, inside = name.partition("/")
    return below if inside else root.resolve().name if root.is_dir() else Path(name).stem


def made_from(file: TokenFile, *, held_out: int, split: Split | None, vocab_size: int, eos_id: int) -> str:
    """What decides the piece that :func:`imported` makes; the file's content stands in by its size and time."""
    states = [(path.stat().st_size, path.stat().st_mtime_ns) for path in file.files]
    facts = [file.name, states, held_out, split, vocab_size, eos_id]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def imported(
    file: TokenFile,
    *,
    folder: Path,
    name: str,
    vocab_size: int,
    eos_id: int,
    held_out: int,
    split: Split | None,
    told: Callable[[int], None],
) -> Piece:
    """The shards of a token file, gone through once.

    Args:
        file: the tokens.
        folder: of the set.
        name: of the piece.
        vocab_size: of the tokenizer that made the tokens.
        eos_id: its end of text.
        held_out: one token in so many is for validation, see ``SPLIT_RULE``.
        split: all of the file, where its publisher has split it.
        told: of the bytes read so far.

    Raises:
        DataError: an id is beyond the vocabulary, or a document lacks its end.
    """
    tokens = file.tokens(vocab_size)
    cut = tokens if split else file.border(vocab_size, eos_id, tokens - -(-tokens // held_out)) or tokens
    parts = [_Part(split or "train", 0, cut), _Part("validation", cut, tokens)]
    where, documents = shards.file_of(split or "train", file.subset, name), _Documents()
    with _kept(file, folder, where, vocab_size) as keep:
        for chunk in file.chunks(vocab_size, eos_id):
            ids = file.unsigned(chunk.start, chunk.tokens, vocab_size).astype(shards.dtype(vocab_size), copy=False)
            ends = documents.add(chunk.ends)
            keep(ids)
            for part in parts:
                part.add(chunk.start, ids, ends)
            told(file.offset + (chunk.start + ids.size) * chunk.tokens.itemsize)
    return Piece(
        name=name,
        made_from=made_from(file, held_out=held_out, split=split, vocab_size=vocab_size, eos_id=eos_id),
        shards=tuple(part.shard(where, file.subset) for part in parts if part.start < part.stop),
        left_out=_left_out(documents.empty, cut_off=int(chunk.tokens[-1]) != eos_id),
        longest=Longest(tokens=documents.most, at=f"{file.name}, document {documents.longest}"),
    )


def _left_out(empty: int, *, cut_off: bool) -> dict[str, int]:
    """What is not there, by reason."""
    counted = {"empty documents": empty, "ends of documents that were cut where their file was full": int(cut_off)}
    return {reason: number for reason, number in counted.items() if number}


@contextmanager
def _kept(file: TokenFile, folder: Path, where: str, vocab_size: int) -> Iterator[Callable[[Tokens], object]]:
    """Takes the tokens to be kept, which are there when all were good: as a link where the bytes are ours."""
    path = folder / where
    if not file.is_ours(vocab_size):
        with paths.whole(path) as copy:
            yield lambda ids: copy.write(ids.data)
        return
    yield lambda ids: None
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.symlink_to(_target(file.path.resolve(), folder.resolve(), where))
    aside.replace(path)


def _target(path: Path, folder: Path, where: str) -> str:
    """What a link at ``where`` says: relative to it for a file of the folder's own, so that both can be moved."""
    return os.path.relpath(path, (folder / where).parent) if path.is_relative_to(folder) else str(path)


@dataclass
class _Part:
    """The tokens of one split, from ``start`` to ``stop``."""

    split: Split
    start: int
    stop: int
    documents: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def add(self, start: int, ids: Tokens, ends: NDArray[np.int64]) -> None:
        self.digest.update(ids[max(0, self.start - start) : max(0, self.stop - start)])
        self.documents += int(((ends > self.start) & (ends <= self.stop)).sum())

    def shard(self, file: str, subset: str) -> Shard:
        return Shard(
            file=file,
            split=self.split,
            subset=subset,
            start=self.start,
            tokens=self.stop - self.start,
            documents=self.documents,
            bytes_of_text=None,
            sha256=self.digest.hexdigest(),
        )


class _Documents:
    """How many there are and how long, by where they end."""

    def __init__(self) -> None:
        self.last = 0  # where the last one ends
        self.number, self.empty = 0, 0
        self.longest, self.most = 0, 0

    def add(self, ends: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count those that end there, and return the ends of those that hold tokens."""
        if not ends.size:
            return ends
        lengths = np.diff(ends, prepend=self.last)
        if (most := int(lengths.max())) > self.most:
            self.longest, self.most = self.number + int(lengths.argmax()) + 1, most
        self.last, self.number = int(ends[-1]), self.number + ends.size
        self.empty += int((lengths == 0).sum())
        return ends[lengths > 0]
