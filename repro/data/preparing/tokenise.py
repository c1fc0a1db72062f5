"""One piece of a corpus into token shards, in memory that does not depend on its size."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from repro import paths
from repro.data import shards, tokenizer
from repro.data.corpora import Document, Split
from repro.data.files.inputs import InputFile
from repro.data.files.reading import NO_DOCUMENT, Unusable, documents
from repro.data.manifest import DOCUMENTS, SPLITS, Longest, Piece
from repro.data.preparing.workers import Told
from repro.data.shards import Shard, Writer
from repro.errors import DataError

HOPELESS = 1000  # unusable documents at the beginning of a piece, after which it need not be read to its end


@dataclass(frozen=True)
class Target:
    """What tokens are made with and where they go: the same for all pieces of a set."""

    folder: Path
    tokenizer: Path
    vocab_size: int
    eos_id: int


@dataclass(frozen=True)
class Task:
    """A piece of a corpus that lies in files.

    Attributes:
        name: of the piece.
        subset: that its files belong to; empty where there are none.
        made_from: of the entry.
        files: with the path of each on this machine.
        text_key: the field of a document's text.
        held_out: one document in so many is for validation, unless a file's publisher has split it.
        unusable: the share of the piece's documents that may be unusable.
    """

    name: str
    subset: str
    made_from: str
    files: tuple[tuple[InputFile, Path], ...]
    text_key: str
    held_out: int
    unusable: float


def tokenise_files(task: Task, target: Target, told: Told) -> Piece:
    """The shards of a piece that lies in files.

    Raises:
        DataError: a file is damaged, or there are more unusable documents than there may be.
    """
    left_out: Counter[str] = Counter()
    texts = _texts(task, left_out, told)
    piece = tokenise(texts, target, name=task.name, subset=task.subset, made_from=task.made_from)
    return piece.model_copy(update={"left_out": dict(left_out)})


def _texts(task: Task, left_out: Counter[str], told: Told) -> Iterator[Document]:
    before, tally = 0, _Tally(task.unusable)
    for file, path in task.files:
        for found in documents(path, file.name, task.text_key):
            told(before + found.read)
            if isinstance(found.text, Unusable):
                tally.leave_out(f"{file.where}, {found.at}", found.text)
            else:
                tally.usable += 1
                yield document(f"{file.name}, {found.at}", found.text, task.held_out, file.split)
        before += path.stat().st_size
    tally.check()
    left_out.update(tally.reasons)


def document(name: str, text: str, held_out: int, split: Split | None) -> Document:
    """A text with its digest, which decides its split unless that is given."""
    raw = text.encode()
    digest = hashlib.sha256(raw)
    by_hash: Split = "validation" if int.from_bytes(digest.digest()[:8]) % held_out == 0 else "train"
    return Document(name, text, len(raw), digest.hexdigest(), split or by_hash)


@dataclass
class _Tally:
    """The unusable documents of a piece. Where none may be, the first is told where it stands."""

    share: float
    usable: int = 0
    unusable: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    first: str = ""

    def leave_out(self, where: str, why: Unusable) -> None:
        self.reasons[why.reason] += 1
        if why.reason.startswith(NO_DOCUMENT):
            return
        self.unusable += 1
        self.first = self.first or f"{where}: {why}"
        if not self.share:
            raise DataError(f"{self.first}; mend it, or let such documents be left out with unusable=0.01 or more")
        if self.unusable == HOPELESS and not self.usable:
            self.check()

    def check(self) -> None:
        many, total = self.unusable, self.unusable + self.usable
        if many > self.share * total:
            enough = math.ceil(100 * many / total) / 100
            raise DataError(
                f"{self.first}; {many} of {total} documents of this file and those beside it cannot be used, more than "
                f"unusable={self.share:g} allows: mend them, or leave them out with unusable={enough:g}"
            )


def tokenise(texts: Iterable[Document], target: Target, *, name: str, subset: str, made_from: str) -> Piece:
    """The shards of ``texts``, one for each split that has any.

    Raises:
        DataError: the tokenizer gives ids beyond its vocabulary, or ends a text within it.
    """
    by = _read(target.tokenizer, target.tokenizer.stat().st_mtime_ns)
    made = [_Growing(split, target, subset, name) for split in SPLITS]
    hashes, longest = bytearray(), None
    with ExitStack() as files:
        for batch, ids in tokenizer.encode(by, texts, target.eos_id):
            lengths = _lengths(ids, len(batch), target, batch)
            longest = _longer(longest, batch, lengths)
            hashes += b"".join(int(document.sha256[:16], 16).to_bytes(8, "little") for document in batch)
            for growing in made:
                growing.add(batch, ids, lengths, files)
    paths.write_whole(target.folder / DOCUMENTS / f"{name}.bin", bytes(hashes))
    return Piece(
        name=name,
        made_from=made_from,
        shards=tuple(growing.shard() for growing in made if growing.documents),
        longest=longest,
        hashes=hashlib.sha256(hashes).hexdigest(),
    )


@lru_cache(maxsize=1)
def _read(path: Path, written: int) -> Tokenizer:
    """One tokenizer for all pieces of a process: it remembers the words that it has met, and is a third slower anew."""
    return tokenizer.read(path)


def _lengths(ids: NDArray[np.uint32], n: int, target: Target, batch: list[Document]) -> NDArray[np.int64]:
    """Tokens of each document of a batch, its end included."""
    lengths = np.diff(np.flatnonzero(ids == target.eos_id), prepend=-1)
    if len(lengths) != n:
        raise DataError(
            f"{target.tokenizer} puts the end of a text, id {target.eos_id}, into one of the texts from "
            f"{batch[0].name} to {batch[-1].name}: expected a token that no text can spell"
        )
    return lengths


def _longer(longest: Longest | None, batch: list[Document], lengths: NDArray[np.int64]) -> Longest:
    where = int(lengths.argmax())
    here = Longest(tokens=int(lengths[where]), at=batch[where].name)
    return here if longest is None or here.tokens > longest.tokens else longest


@dataclass
class _Growing:
    """The shard of one split, whose file is there from its first document on."""

    split: Split
    target: Target
    subset: str
    name: str
    documents: int = 0
    n_bytes: int = 0
    writer: Writer | None = None

    @property
    def file(self) -> str:
        return shards.file_of(self.split, self.subset, self.name)

    def add(self, batch: list[Document], ids: NDArray[np.uint32], lengths: NDArray[np.int64], files: ExitStack) -> None:
        own = np.array([document.split == self.split for document in batch])
        if not own.any():
            return
        self.writer = self.writer or files.enter_context(
            shards.writing(self.target.folder / self.file, self.target.vocab_size)
        )
        self.writer.add(ids if own.all() else ids[np.repeat(own, lengths)])
        self.documents += int(own.sum())
        self.n_bytes += sum(document.n_bytes for document in batch if document.split == self.split)

    def shard(self) -> Shard:
        assert self.writer is not None
        return Shard(
            file=self.file,
            split=self.split,
            subset=self.subset,
            tokens=self.writer.tokens,
            documents=self.documents,
            bytes_of_text=self.n_bytes,
            sha256=self.writer.sha256,
        )
