"""From a corpus to token shards, restartable at any moment.

Each file is written whole and then entered in a journal; the manifest is written in the journal's place and renamed,
which is the commit. A restart keeps every file of the journal that was made from the same inputs and still has its
sha256. The manifest of a set that was damaged becomes a journal again, so that only damaged files are made anew.
"""

import fcntl
import hashlib
import platform
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tokenizers

from repro import paths
from repro.data import corpora, shards, sources, tokenizer
from repro.data.corpora import Corpus, Document, Split
from repro.data.entropy import entropies
from repro.data.journal import Journal
from repro.data.manifest import MANIFEST, TOKENIZER, Manifest, Prepared, TokenizerFile, Total, fingerprint
from repro.data.progress import Progress, silent
from repro.data.shards import Shard
from repro.errors import DataError

SHARD_BYTES = 16 * 2**20  # of text: the most that a restart does again
TOKENIZER_BYTES = 64 * 2**20  # of text to train the tokenizer on: ours, and enough for what it gains from more
SPLITS: tuple[Split, ...] = ("train", "validation")


def prepare(
    corpus: str,
    *,
    vocab_size: int,
    root: Path | None = None,
    roots: Sequence[Path] | None = None,
    shard_bytes: int = SHARD_BYTES,
    progress: Progress = silent,
) -> Prepared:
    """The embedded ``corpus``, tokenised by a BPE of ``vocab_size`` entries that is trained on its training split.

    A set that is complete is verified and returned as it is, even if the corpus has changed since: runs rely on it.

    Args:
        corpus: ``python-stdlib`` or ``python-packages``.
        vocab_size: entries of the tokenizer, at least 257.
        root: where prepared sets lie; ``$REPRO_DATA`` by default.
        roots: folders to take the corpus's files from, instead of where this Python keeps them.
        shard_bytes: text to a shard.
        progress: told of every stage.

    Raises:
        DataError: the corpus is unknown, not embedded or empty, the vocabulary too small, or the folder not writable.
    """
    _check(corpus, vocab_size)
    folder = (root or paths.prepared()) / corpus / f"bpe-{vocab_size}"
    with _told(folder):
        if finished := _finished(folder, progress):
            return finished
        with _alone(folder, progress):
            if finished := _finished(folder, progress):
                return finished
            collected = corpora.collect(corpus, roots, progress)
            return _Preparation(folder, Journal(folder), collected, vocab_size, shard_bytes, progress).run()


def _check(corpus: str, vocab_size: int) -> None:
    if sources.load(corpus).kind == "hub":
        raise DataError(
            f"{corpus} cannot be prepared by this version, which prepares python-stdlib and python-packages: "
            "train offline with data.corpus=python-packages data.tokenizer=bpe"
        )
    if vocab_size < tokenizer.SMALLEST_VOCABULARY:
        raise DataError(
            f"vocab_size={vocab_size} is too small: expected at least {tokenizer.SMALLEST_VOCABULARY}, "
            f"one for every byte and one for {tokenizer.EOS}"
        )


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Says in one line what the disk refused."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise DataError(
            f"cannot prepare {folder}: {error.strerror}{where}; free space there, or set REPRO_DATA to another folder"
        ) from error


@contextmanager
def _alone(folder: Path, progress: Progress) -> Iterator[None]:
    """Holds off other processes that prepare ``folder``; the system drops the lock of one that is killed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("wait for another process that prepares the same", 0, 0)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _finished(folder: Path, progress: Progress) -> Prepared | None:
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


@dataclass(frozen=True)
class _Preparation:
    folder: Path
    journal: Journal
    corpus: Corpus
    vocab_size: int
    shard_bytes: int
    progress: Progress

    def run(self) -> Prepared:
        tokenizer_file = self._tokenizer()
        made = tuple(self._shards(tokenizer_file))
        self.journal.commit(self._manifest(tokenizer_file, made))
        return Prepared.open(self.folder)

    def _tokenizer(self) -> TokenizerFile:
        documents = _sample(self.corpus.of("train"))
        made_from = _digest(str(self.vocab_size), tokenizers.__version__, *(document.sha256 for document in documents))
        if kept := self.journal.tokenizer(made_from):
            return kept
        total = sum(document.n_bytes for document in documents)
        trained = tokenizer.train(self._texts("train the tokenizer", documents, 0, total), self.vocab_size)
        content = trained.to_str(pretty=True).encode()
        paths.write_whole(self.folder / TOKENIZER, content)
        entry = TokenizerFile(kind="bpe", sha256=hashlib.sha256(content).hexdigest(), made_from=made_from)
        self.journal.enter(entry)
        self.progress("train the tokenizer", total, total)
        return entry

    def _shards(self, tokenizer_file: TokenizerFile) -> Iterator[Shard]:
        done, total = 0, sum(document.n_bytes for document in self.corpus.documents)
        for split in SPLITS:
            for number, group in enumerate(shards.groups(self.corpus.of(split), self.shard_bytes)):
                yield self._shard(f"{split}/{number:05d}.bin", group, tokenizer_file, done, total)
                done += sum(document.n_bytes for document in group)
                self.progress("tokenise", done, total)

    def _shard(self, file: str, group: list[Document], made_by: TokenizerFile, done: int, total: int) -> Shard:
        made_from = _digest(made_by.sha256, *(document.sha256 for document in group))
        if kept := self.journal.shard(file, made_from):
            return kept
        texts = self._texts("tokenise", group, done, total)
        encoded = tokenizer.encode(tokenizer.read(self.folder / TOKENIZER), texts)
        tokens, sha256 = shards.write(self.folder / file, encoded, self.vocab_size)
        entry = Shard(
            file=file,
            split=group[0].split,
            tokens=tokens,
            documents=len(group),
            bytes_of_text=sum(document.n_bytes for document in group),
            sha256=sha256,
            made_from=made_from,
        )
        self.journal.enter(entry)
        return entry

    def _texts(self, stage: str, documents: Iterable[Document], done: int, total: int) -> Iterator[str]:
        for document in documents:
            self.progress(stage, done, total)
            yield document.text
            done += document.n_bytes

    def _manifest(self, tokenizer_file: TokenizerFile, made: tuple[Shard, ...]) -> Manifest:
        totals = {split: _total(made, split) for split in SPLITS}
        self.progress("measure the entropies", 0, 0)
        train, validation = (
            [shards.read(self.folder / shard.file, self.vocab_size) for shard in made if shard.split == split]
            for split in SPLITS
        )
        return Manifest(
            corpus=self.corpus.name,
            found_in=self.corpus.found_in,
            vocab_size=self.vocab_size,
            eos_id=tokenizer.EOS_ID,
            dtype=shards.stored_as(self.vocab_size),
            tokenizer=tokenizer_file,
            shards=made,
            totals=totals,
            split_rule=self.corpus.split_rule,
            left_out=self.corpus.left_out,
            entropies=entropies(
                train,
                validation,
                vocab_size=self.vocab_size,
                bytes_of_text=totals["validation"].bytes_of_text,
            ),
            versions={"python": platform.python_version(), "tokenizers": tokenizers.__version__},
            fingerprint=fingerprint(self.vocab_size, tokenizer.EOS_ID, tokenizer_file, made),
        )


def _sample(documents: Sequence[Document]) -> Sequence[Document]:
    """Every n-th document, with n such that they hold about ``TOKENIZER_BYTES``; all, where those suffice."""
    total = sum(document.n_bytes for document in documents)
    return documents[:: max(1, -(-total // TOKENIZER_BYTES))]


def _total(made: Iterable[Shard], split: Split) -> Total:
    own = [shard for shard in made if shard.split == split]
    return Total(
        tokens=sum(shard.tokens for shard in own),
        documents=sum(shard.documents for shard in own),
        bytes_of_text=sum(shard.bytes_of_text for shard in own),
    )


def _digest(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()
