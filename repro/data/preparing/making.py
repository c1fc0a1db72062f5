"""What every preparation ends with and is guarded by, whatever the corpus lies in."""

import hashlib
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tokenizers

from repro import paths
from repro.data import shards, tokenizer
from repro.data.corpora import Document
from repro.data.manifest import (
    DOCUMENTS,
    MANIFEST,
    TOKENIZER,
    Manifest,
    Piece,
    Prepared,
    TokenizerFile,
    fingerprint,
    in_order,
    read,
    totals,
)
from repro.data.preparing.duplicates import duplicates
from repro.data.preparing.entropy import entropies
from repro.data.preparing.journal import Journal, spelt
from repro.data.preparing.page import page
from repro.data.preparing.tokenise import Target
from repro.data.preparing.tokenizer_files import Given, Own
from repro.data.preparing.waiting import interruptible
from repro.data.progress import Progress
from repro.errors import DataError

TOKENIZER_BYTES = 64 * 2**20  # of text to train the tokenizer on: ours, and enough for what it gains from more


def finished(folder: Path, progress: Progress) -> Prepared | None:
    """The set in ``folder``, if it is complete and unaltered; damage is told and mended by preparing it again."""
    if not (folder / MANIFEST).is_file():
        return None
    try:
        prepared = Prepared.open(folder)
        prepared.verify(progress)
    except DataError as damage:
        progress(f"mend: {damage}", 0, 0)
        return None
    return prepared


def as_asked(folder: Path, by: Own | Given, settings: dict[str, str], progress: Progress) -> Prepared | None:
    """The set in ``folder``, if it is complete; one of other contents is neither taken for it nor made into it.

    Raises:
        DataError: it was prepared with another tokenizer, or with other settings.
    """
    try:
        there = read(folder)
    except DataError:  # there is none, or a damaged one, which is mended
        return finished(folder, progress)
    _refuse_others(folder, there, by, settings)
    return finished(folder, progress)


def _refuse_others(folder: Path, there: Manifest, by: Own | Given, settings: dict[str, str]) -> None:
    held, wanted = there.settings, settings
    if isinstance(by, Given) and there.tokenizer.sha256 != by.sha256:
        held, wanted = {"tokenizer": f"{there.tokenizer.sha256[:12]}..."}, {"tokenizer": f"{by.sha256[:12]}..."}
    if held != wanted:
        raise DataError(
            f"{folder} is already prepared with {spelt(held)}, and not with {spelt(wanted)}: give another name=NAME, "
            "or remove that folder"
        )


def check_splits(pieces: Sequence[Piece], found_in: str, held_out: int, *, lacking: str) -> None:
    """Refuse a set that nothing can be trained on, or validated.

    Args:
        pieces: of the set.
        found_in: where they come from.
        held_out: one document, or token, in so many was to be for validation.
        lacking: what there could be more of.

    Raises:
        DataError: a split is empty.
    """
    splits = {shard.split for piece in pieces for shard in piece.shards}
    if "train" not in splits:
        raise DataError(f"{found_in} holds no documents to train on: expected some")
    if "validation" not in splits:
        raise DataError(
            f"{found_in} holds so few documents that none is held out for validation, with held_out={held_out}: "
            f"expected {lacking}, or a smaller held_out=N"
        )


def digest(*words: str) -> str:
    """Of several words."""
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


@dataclass(frozen=True)
class Making:
    """A set that is being made.

    Attributes:
        journal: of its folder.
        corpus: its name.
        by: the tokenizer.
        progress: told of every stage.
    """

    journal: Journal
    corpus: str
    by: Own | Given
    progress: Progress

    @property
    def folder(self) -> Path:
        """Where it will lie."""
        return self.journal.folder

    @property
    def target(self) -> Target:
        """What tokens are made with, once the tokenizer is there."""
        return Target(self.folder, self.folder / TOKENIZER, self.by.vocab_size, self.by.eos_id)

    def tokenizer(self, sample: Iterable[Document], made_from: str) -> TokenizerFile:
        """The tokenizer, copied into the folder, or trained on the ``sample``, which ``made_from`` tells from others.

        Raises:
            DataError: the set was begun with another tokenizer of the same kind and size.
        """
        if isinstance(self.by, Given):
            made_from = self.by.sha256
            self.journal.refuse_other_tokenizer(made_from)
        if kept := self.journal.tokenizer(made_from):
            return kept
        content = self.by.path.read_bytes() if isinstance(self.by, Given) else self._trained(sample)
        paths.write_whole(self.folder / TOKENIZER, content)
        entry = TokenizerFile(kind=self.by.kind, sha256=hashlib.sha256(content).hexdigest(), made_from=made_from)
        self.journal.enter(entry)
        return entry

    def _trained(self, sample: Iterable[Document]) -> bytes:
        trained = interruptible(lambda: tokenizer.train(self._texts(sample), self.by.vocab_size))
        self.progress("train the tokenizer", TOKENIZER_BYTES, TOKENIZER_BYTES)
        return trained.to_str(pretty=True).encode()

    def _texts(self, documents: Iterable[Document]) -> Iterator[str]:
        done = 0
        for document in documents:
            self.progress("train the tokenizer", done, TOKENIZER_BYTES)
            yield document.text
            done += document.n_bytes

    def commit(
        self,
        pieces: Sequence[Piece],
        tokenizer_file: TokenizerFile,
        *,
        found_in: str,
        split_rule: str,
        left_out: dict[str, int],
        settings: dict[str, str] | None = None,
    ) -> Prepared:
        """Make the set complete: measure it, write its page, and last its manifest."""
        made, vocab_size = in_order(pieces), self.by.vocab_size
        self.progress("look at what was made", 0, 1)
        hashed = [self.folder / DOCUMENTS / f"{piece.name}.bin" for piece in pieces if piece.hashes]
        reasons = Counter(left_out)
        for piece in pieces:
            reasons.update(piece.left_out)
        manifest = Manifest(
            corpus=self.corpus,
            found_in=found_in,
            settings=settings or {},
            vocab_size=vocab_size,
            eos_id=self.by.eos_id,
            dtype=shards.stored_as(vocab_size),
            tokenizer=tokenizer_file,
            pieces=tuple(pieces),
            totals=totals(made),
            split_rule=split_rule,
            left_out=dict(reasons),
            entropies=entropies(self.folder, made, vocab_size=vocab_size),
            duplicates=duplicates(hashed) if hashed else None,
            versions={"python": platform.python_version(), "tokenizers": tokenizers.__version__},
            fingerprint=fingerprint(vocab_size, self.by.eos_id, tokenizer_file, made),
        )
        if self.journal.before not in {None, manifest.fingerprint}:
            self.progress(
                f"what was mended is another set than before, {manifest.fingerprint} and no longer "
                f"{self.journal.before}: its files have changed, and runs that began with it do not go on",
                0,
                0,
            )
        self.journal.commit(manifest, page(self.folder, manifest))
        return Prepared.open(self.folder)
