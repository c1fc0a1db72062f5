"""Prepared data: a folder of token shards, its tokenizer, and the manifest that vouches for them.

<root>/<corpus>/<tokenizer>-<vocab_size>/
    manifest.json            written last: a folder without one is not a data set
    tokenizer.json
    train/00000.bin ...      token shards, see :mod:`repro.data.shards`
    validation/00000.bin ...
    documents/00000.bin ...  hashes of the documents
    README.md                what a person may want to know of it
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, ValidationError, model_validator

from repro.data import shards
from repro.data.corpora import Split
from repro.data.mending import AGAIN, mend
from repro.data.progress import Progress, silent
from repro.data.shards import Shard, Stored, Tokens, Total
from repro.errors import DataError
from repro.recipe.machine import cores
from repro.recipe.schema import Section

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
DOCUMENTS = "documents"
PAGE = "README.md"
SPLITS: tuple[Split, ...] = ("train", "validation")
SCHEMA: Literal[2] = 2  # of a manifest


class TokenizerFile(Section):
    """The tokenizer that made the tokens."""

    kind: str
    sha256: str
    made_from: str  # digest of the vocabulary's size, the library's version and the training documents; or its own


class Longest(Section):
    """The longest document of a piece, and where it stands."""

    tokens: NonNegativeInt
    at: str


class Piece(Section):
    """What one part of a corpus became: whole, or not at all.

    Attributes:
        name: such as ``00012``, in the order of the corpus.
        made_from: digest of the tokenizer, the settings and the documents or files, by which a restart knows it.
        left_out: documents that could not be used, by reason.
        hashes: sha256 of ``documents/<name>.bin``, which has 8 bytes of the sha256 of each document's text.
    """

    name: str
    made_from: str
    shards: tuple[Shard, ...]
    left_out: dict[str, PositiveInt] = Field(default_factory=dict)
    longest: Longest | None = None
    hashes: str | None = None

    def stored(self, vocab_size: int) -> tuple[Stored, ...]:
        """All of it that lies on the disk."""
        itemsize = shards.dtype(vocab_size).itemsize
        tokens = [Stored(s.file, s.start * itemsize, s.tokens * itemsize, s.sha256) for s in self.shards]
        hashes = [Stored(f"{DOCUMENTS}/{self.name}.bin", 0, None, self.hashes)] if self.hashes else []
        return (*tokens, *hashes)


class Entropies(Section):
    """What simple predictors reach on the validation split, see :mod:`repro.data.preparing.entropy`."""

    unigram: NonNegativeFloat  # nats per token
    bigram: NonNegativeFloat  # nats per token
    bytes_per_token: NonNegativeFloat | None


class Duplicates(Section):
    """Documents whose text another one before them has, among those whose hash is 0 modulo ``one_in``."""

    documents: NonNegativeInt
    duplicates: NonNegativeInt
    one_in: PositiveInt


class Manifest(Section):
    """What a prepared set holds and what it was made from.

    Attributes:
        settings: what was asked for beyond the corpus and its tokenizer, such as ``tokens``.
        left_out: files and documents, by reason.
        entropies: of sets with both splits.
        duplicates: of sets made from text.
    """

    schema_version: Literal[2] = SCHEMA
    corpus: str
    found_in: str
    settings: dict[str, str] = Field(default_factory=dict)
    vocab_size: PositiveInt
    eos_id: NonNegativeInt
    dtype: Literal["uint16", "uint32"]
    tokenizer: TokenizerFile
    pieces: tuple[Piece, ...]
    totals: dict[Split, Total]
    split_rule: str
    left_out: dict[str, NonNegativeInt]
    entropies: Entropies | None
    duplicates: Duplicates | None
    versions: dict[str, str]
    fingerprint: str

    @property
    def shards(self) -> tuple[Shard, ...]:
        """Of all pieces: those of the training split in order, then those of the validation split."""
        return in_order(self.pieces)

    @model_validator(mode="after")
    def _is_itself(self) -> Self:
        if self.fingerprint != fingerprint(self.vocab_size, self.eos_id, self.tokenizer, self.shards):
            raise ValueError("its fingerprint is not that of its contents: it was altered")
        if self.totals != totals(self.shards):
            raise ValueError("its totals are not those of its shards: it was altered")
        return self


def in_order(pieces: Iterable[Piece]) -> tuple[Shard, ...]:
    """The shards of ``pieces``, by split."""
    every = [shard for piece in pieces for shard in piece.shards]
    return tuple(shard for split in SPLITS for shard in every if shard.split == split)


def totals(every: Sequence[Shard]) -> dict[Split, Total]:
    """What each split holds."""
    return {split: shards.total([shard for shard in every if shard.split == split]) for split in SPLITS}


def fingerprint(vocab_size: int, eos_id: int, tokenizer: TokenizerFile, shards: tuple[Shard, ...]) -> str:
    """Twelve characters of the sha256 of all that decides the tokens, their splits and their windows."""
    files = [(shard.file, shard.split, shard.subset, shard.start, shard.tokens, shard.sha256) for shard in shards]
    return hashlib.sha256(json.dumps([vocab_size, eos_id, tokenizer.sha256, files]).encode()).hexdigest()[:12]


def read(folder: Path) -> Manifest:
    """The manifest of the set in ``folder``.

    Raises:
        DataError: there is none, or an altered one.
    """
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_text())
    except FileNotFoundError as error:
        raise DataError(f"{folder} holds no prepared data: expected {MANIFEST}") from error
    except (ValidationError, UnicodeDecodeError) as error:
        wrong = "it was made by an earlier version of the kit" if is_older(folder) else _first(error)
        raise DataError(f"{path} cannot be used: {wrong}; {AGAIN}") from error


def is_older(folder: Path) -> bool:
    """Whether the set in ``folder`` was made by an earlier version of the kit, whose manifests say other things."""
    try:
        written = json.loads((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    version = written.get("schema_version") if isinstance(written, dict) else None
    return isinstance(version, int) and version < SCHEMA


@dataclass(frozen=True)
class Prepared:
    """A data set that is ready to be read."""

    folder: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """Where it lies."""
        return str(self.folder)

    @property
    def fingerprint(self) -> str:
        """What tells it from other data."""
        return self.manifest.fingerprint

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The set in ``folder``, if its manifest holds and each shard has its size.

        Raises:
            DataError: it is not there, not complete or altered.
        """
        prepared = cls(folder, read(folder))
        prepared._check_size()
        return prepared

    @property
    def n_bytes(self) -> int:
        """Of all tokens on the disk."""
        itemsize = shards.dtype(self.manifest.vocab_size).itemsize
        return itemsize * sum(total.tokens for total in self.manifest.totals.values())

    def tokens(self, split: Split) -> int:
        """Tokens in a split."""
        return self.manifest.totals[split].tokens

    def shards(self, split: Split) -> tuple[Shard, ...]:
        """The shards of a split, in order."""
        return tuple(shard for shard in self.manifest.shards if shard.split == split)

    def tokenizer(self) -> "Tokenizer":
        """The tokenizer that made the tokens."""
        from repro.data import tokenizer  # training reads tokens without it

        return tokenizer.read(self.folder / TOKENIZER)

    def map(self, shard: Shard) -> Tokens:
        """The tokens of a shard, ``(tokens,)``, mapped into memory and not yet read."""
        path = self.folder / shard.file
        return shards.read(path, self.manifest.vocab_size, start=shard.start, tokens=shard.tokens)

    def verify(self, progress: Progress = silent) -> None:
        """Read every file and compare its sha256, as fast as the disk and the cores allow.

        Raises:
            DataError: one differs from the manifest.
        """
        stored = [Stored(TOKENIZER, 0, None, self.manifest.tokenizer.sha256)]
        stored += [part for piece in self.manifest.pieces for part in piece.stored(self.manifest.vocab_size)]
        done, total = 0, sum(part.size(self.folder) for part in stored)
        with ThreadPoolExecutor(cores()) as threads:  # hashing releases Python's lock
            for part, whole in zip(stored, threads.map(lambda part: part.is_whole(self.folder), stored), strict=True):
                if not whole:
                    path = self.folder / part.file
                    raise DataError(f"{path} is missing or altered: its sha256 is not the manifest's; {self.mend}")
                done += part.size(self.folder)
                progress("verify", done, total)

    def check_vocabulary(self, vocab_size: int) -> None:
        """Refuse a model whose vocabulary is smaller than the data's.

        Raises:
            DataError: token ids could be beyond ``vocab_size``.
        """
        if vocab_size < self.manifest.vocab_size:
            raise DataError(
                f"model.vocab_size={vocab_size} is smaller than that of {self.folder}, whose token ids go up to "
                f"{self.manifest.vocab_size - 1}: expected at least {self.manifest.vocab_size}"
            )

    @property
    def mend(self) -> str:
        """What to do about damage."""
        return mend(self.manifest)

    def _check_size(self) -> None:
        ends: dict[str, int] = {}
        for piece in self.manifest.pieces:
            for part in piece.stored(self.manifest.vocab_size):
                if part.length is not None:
                    ends[part.file] = max(ends.get(part.file, 0), part.start + part.length)
        for file, expected in ends.items():
            path = self.folder / file
            if path.is_symlink() and not path.exists():
                raise DataError(f"{path} links to {path.resolve()}, which is gone: put it back, or {self.mend}")
            if (found := shards.size(path)) != expected:
                raise DataError(f"{path} holds {found} bytes, expected {expected}; {self.mend}")


def _first(error: ValueError) -> str:
    """What is wrong, on one line."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
