"""Prepared data: a folder of token shards, its tokenizer, and the manifest that vouches for them.

<root>/<corpus>/<tokenizer>-<vocab_size>/
    manifest.json            written last: a folder without one is not a data set
    tokenizer.json
    train/00000.bin ...      token shards, see :mod:`repro.data.shards`
    validation/00000.bin ...
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt, ValidationError, model_validator

from repro.data import shards
from repro.data.corpora import Split
from repro.data.progress import Progress, silent
from repro.data.shards import Shard, Tokens
from repro.errors import DataError
from repro.recipe.schema import Section

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"


class TokenizerFile(Section):
    """The tokenizer that made the tokens."""

    kind: str
    sha256: str
    made_from: str  # digest of the vocabulary's size, the library's version and the training documents


class Total(Section):
    """What one split holds."""

    tokens: NonNegativeInt
    documents: NonNegativeInt
    bytes_of_text: NonNegativeInt


class Entropies(Section):
    """What simple predictors reach on the validation split, see :mod:`repro.data.entropy`."""

    unigram: NonNegativeFloat  # nats per token
    bigram: NonNegativeFloat  # nats per token
    bytes_per_token: NonNegativeFloat


class Manifest(Section):
    """What a prepared set holds and what it was made from."""

    schema_version: Literal[1] = 1
    corpus: str
    found_in: str
    vocab_size: PositiveInt
    eos_id: NonNegativeInt
    dtype: Literal["uint16", "uint32"]
    tokenizer: TokenizerFile
    shards: tuple[Shard, ...]
    totals: dict[Split, Total]
    split_rule: str
    left_out: dict[str, NonNegativeInt]  # files, by reason
    entropies: Entropies
    versions: dict[str, str]
    fingerprint: str

    @model_validator(mode="after")
    def _is_itself(self) -> Self:
        if self.fingerprint != fingerprint(self.vocab_size, self.eos_id, self.tokenizer, self.shards):
            raise ValueError("its fingerprint is not that of its contents: it was altered")
        return self


def fingerprint(vocab_size: int, eos_id: int, tokenizer: TokenizerFile, shards: tuple[Shard, ...]) -> str:
    """Twelve characters of the sha256 of all that decides the tokens and their windows."""
    files = [(shard.file, shard.tokens, shard.sha256) for shard in shards]
    return hashlib.sha256(json.dumps([vocab_size, eos_id, tokenizer.sha256, files]).encode()).hexdigest()[:12]


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
        path = folder / MANIFEST
        try:
            manifest = Manifest.model_validate_json(path.read_text())
        except FileNotFoundError as error:
            raise DataError(f"{folder} holds no prepared data: expected {MANIFEST}") from error
        except (ValidationError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be used: {_first(error)}; {_mend(folder)}") from error
        prepared = cls(folder, manifest)
        for shard in manifest.shards:
            prepared._check_size(shard)
        return prepared

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
        return shards.read(self.folder / shard.file, self.manifest.vocab_size)

    def verify(self, progress: Progress = silent) -> None:
        """Read every file and compare its sha256.

        Raises:
            DataError: one differs from the manifest.
        """
        expected = {shard.file: shard.sha256 for shard in self.manifest.shards}
        expected[TOKENIZER] = self.manifest.tokenizer.sha256
        done, total = 0, sum(_size(self.folder / file) for file in expected)
        for file, digest in expected.items():
            path = self.folder / file
            if not path.is_file() or shards.sha256(path) != digest:
                raise DataError(f"{path} is missing or altered: its sha256 is not the manifest's; {_mend(self.folder)}")
            done += _size(path)
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

    def _check_size(self, shard: Shard) -> None:
        path = self.folder / shard.file
        expected = shard.tokens * shards.dtype(self.manifest.vocab_size).itemsize
        if (found := _size(path)) != expected:
            raise DataError(f"{path} holds {found} bytes, expected {expected}; {_mend(self.folder)}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _mend(folder: Path) -> str:
    return f"mend it with `repro prepare {folder.parent.name} vocab_size={folder.name.rpartition('-')[2]}`"


def _first(error: ValueError) -> str:
    """What is wrong, on one line."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
