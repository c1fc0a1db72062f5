"""From an embedded corpus to token shards, restartable at any moment.

Each piece is written whole and then entered in a journal; the manifest is written in the journal's place and renamed,
which is the commit. A restart keeps every piece of the journal that was made from the same inputs and still has its
sha256. The manifest of a set that was damaged becomes a journal again, so that only damaged pieces are made anew.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import tokenizers

from repro import paths
from repro.data import corpora, shards, tokenizer
from repro.data.corpora import Corpus, Document
from repro.data.manifest import SPLITS, Piece, Prepared, TokenizerFile
from repro.data.preparing.guards import alone, disk_told
from repro.data.preparing.journal import Journal
from repro.data.preparing.making import TOKENIZER_BYTES, Making, digest, finished
from repro.data.preparing.tokenise import tokenise
from repro.data.preparing.tokenizer_files import Own, prepared_folder
from repro.data.progress import Progress, silent
from repro.errors import DataError
from repro.recipe import sources

SHARD_BYTES = 16 * 2**20  # of text: the most that a restart does again


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
    assert sources.load(corpus).kind == "embedded"
    check_vocabulary(vocab_size)
    folder = prepared_folder(corpus, "bpe", vocab_size, root or paths.prepared())
    with disk_told(folder):
        if there := finished(folder, progress):
            return there
        with alone(folder, progress):
            if there := finished(folder, progress):
                return there
            collected = corpora.collect(corpus, roots, progress)
            making = Making(Journal(folder, vocab_size), corpus, Own(vocab_size), progress)
            return _made(making, collected, shard_bytes)


def check_vocabulary(vocab_size: int) -> None:
    """Refuse one that cannot spell every text.

    Raises:
        DataError: it is too small.
    """
    if vocab_size < tokenizer.SMALLEST_VOCABULARY:
        raise DataError(
            f"vocab_size={vocab_size} is too small: expected at least {tokenizer.SMALLEST_VOCABULARY}, "
            f"one for every byte and one for {tokenizer.EOS}"
        )


def _made(making: Making, corpus: Corpus, shard_bytes: int) -> Prepared:
    sample = _sample(corpus.of("train"))
    made_from = digest(str(making.by.vocab_size), tokenizers.__version__, *(document.sha256 for document in sample))
    by = making.tokenizer(sample, made_from)
    pieces = tuple(_pieces(making, corpus, by, shard_bytes))
    return making.commit(pieces, by, found_in=corpus.found_in, split_rule=corpus.split_rule, left_out=corpus.left_out)


def _pieces(making: Making, corpus: Corpus, by: TokenizerFile, shard_bytes: int) -> Iterator[Piece]:
    done, total = 0, sum(document.n_bytes for document in corpus.documents)
    for split in SPLITS:
        for number, group in enumerate(shards.groups(corpus.of(split), shard_bytes)):
            name, made_from = f"{split}-{number:05d}", digest(by.sha256, *(document.sha256 for document in group))
            yield making.journal.piece(name, made_from) or _piece(making, name, made_from, group, done, total)
            done += sum(document.n_bytes for document in group)
            making.progress("tokenise", done, total)


def _piece(making: Making, name: str, made_from: str, group: list[Document], done: int, total: int) -> Piece:
    def told() -> Iterator[Document]:
        read = done
        for document in group:
            making.progress("tokenise", read, total)
            yield document
            read += document.n_bytes

    piece = tokenise(told(), making.target, name=name, subset="", made_from=made_from)
    making.journal.enter(piece)
    return piece


def _sample(documents: Sequence[Document]) -> Sequence[Document]:
    """Every n-th document, with n such that they hold about ``TOKENIZER_BYTES``; all, where those suffice."""
    total = sum(document.n_bytes for document in documents)
    return documents[:: max(1, -(-total // TOKENIZER_BYTES))]
