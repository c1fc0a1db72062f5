"""The prepared data that a recipe needs, or one line that says how to get it."""

from pathlib import Path

from repro import paths
from repro.data.manifest import MANIFEST, Prepared, is_older
from repro.data.preparing.embedded import prepare
from repro.data.preparing.tokenizer_files import prepared_folder
from repro.data.progress import Progress, silent
from repro.errors import DataError, nearest
from repro.recipe import sources
from repro.recipe.preparation import command
from repro.recipe.schema import SMALLEST_VOCABULARY, Data

VERIFIED = 4 * 10**9  # bytes of a set that is read whole before each run: seconds; of a larger one only the sizes


def locate(data: Data, vocab_size: int, *, root: Path | None = None) -> Prepared:
    """The prepared set that ``data`` names, opened and checked against the model's vocabulary.

    Args:
        data: a recipe's ``data`` section.
        vocab_size: the model's.
        root: where prepared sets lie; ``$REPRO_DATA`` by default.

    Raises:
        DataError: the corpus is not prepared or damaged, or its token ids exceed the vocabulary.
    """
    _check_tokenizer(data)
    folder = _folder(data, vocab_size, root or paths.prepared())
    if not (folder / MANIFEST).is_file():
        _check_name(data, vocab_size)
        raise DataError(f"{data.corpus} is not prepared in {folder}: {_way_out(data, vocab_size)}")
    prepared = Prepared.open(folder)
    prepared.check_vocabulary(vocab_size)
    return prepared


def ready(data: Data, vocab_size: int, *, progress: Progress = silent) -> Prepared:
    """As :func:`locate`; an embedded corpus is prepared if it is not there yet, or made anew if an earlier version of
    the kit made it, and what is there is verified.

    What was altered is told and not mended: a run must not go on with other data than it began with.
    """
    makes_itself = _is_embedded(data.corpus) and data.tokenizer == "bpe"
    folder = _folder(data, vocab_size, paths.prepared())
    if makes_itself and (is_older(folder) or not (folder / MANIFEST).is_file()):
        prepare(data.corpus, vocab_size=vocab_size, progress=progress)
    prepared = locate(data, vocab_size)
    if prepared.n_bytes <= VERIFIED:
        prepared.verify(progress)
    return prepared


def _check_name(data: Data, vocab_size: int) -> None:
    """Refuse one that is neither a manifest's nor of a set that was prepared here."""
    known = (*sources.names(), *sources.own())
    if data.corpus not in known:
        hint = nearest(data.corpus, known) or f" `{command(data, vocab_size)}` prepares one of your own."
        raise DataError(f"no data set is called {data.corpus!r}.{hint} Known: {', '.join(known)}")


def _check_tokenizer(data: Data) -> None:
    if _is_embedded(data.corpus) and data.tokenizer != "bpe":
        raise DataError(
            f"data.tokenizer={data.tokenizer}: {data.corpus} is tokenised by its own BPE, data.tokenizer=bpe"
        )


def _is_embedded(corpus: str) -> bool:
    return corpus in sources.names() and sources.load(corpus).kind == "embedded"


def _folder(data: Data, vocab_size: int, root: Path) -> Path:
    """Where it lies: by the model's vocabulary if the tokenizer is made for it, else by the tokenizer's own."""
    if data.tokenizer == "own":
        return _only(data.corpus, root)
    own = vocab_size if data.tokenizer == "bpe" else SMALLEST_VOCABULARY[data.tokenizer]
    return prepared_folder(data.corpus, data.tokenizer, own, root)


def _only(corpus: str, root: Path) -> Path:
    """Of the sets that a tokenizer of a person's own made of a corpus, the one there is."""
    found = [path.parent for path in sorted((root / corpus).glob(f"own-*/{MANIFEST}"))]
    if len(found) > 1:
        raise DataError(
            f"{corpus} was prepared with {len(found)} tokenizers, {', '.join(path.name for path in found)} in "
            f"{root / corpus}: expected one; remove the others, or prepare with another name=NAME"
        )
    return found[0] if found else root / corpus / "own"


def _way_out(data: Data, vocab_size: int) -> str:
    if _is_embedded(data.corpus):
        return f"run `repro prepare {data.corpus} vocab_size={vocab_size}`"
    override = "data.corpus=python-packages" + (" data.tokenizer=bpe" if data.tokenizer != "bpe" else "")
    return f"run `{command(data, vocab_size)}`, or train offline with {override}"
