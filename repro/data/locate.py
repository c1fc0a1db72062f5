"""The prepared data that a recipe needs, or one line that says how to get it."""

from pathlib import Path

from repro import paths
from repro.data import sources
from repro.data.manifest import MANIFEST, Prepared
from repro.data.prepare import prepare
from repro.data.progress import Progress, silent
from repro.errors import DataError
from repro.recipe.schema import Data


def locate(data: Data, vocab_size: int, *, root: Path | None = None) -> Prepared:
    """The prepared set that ``data`` names, opened and checked against the model's vocabulary.

    Args:
        data: a recipe's ``data`` section.
        vocab_size: the model's.
        root: where prepared sets lie; ``$REPRO_DATA`` by default.

    Raises:
        DataError: the corpus is unknown, not prepared or damaged, or its token ids exceed the vocabulary.
    """
    source = sources.load(data.corpus)
    if source.kind == "embedded" and data.tokenizer != "bpe":
        raise DataError(
            f"data.tokenizer={data.tokenizer}: {data.corpus} is tokenised by its own BPE, data.tokenizer=bpe"
        )
    folder = _folder(data, vocab_size, root or paths.prepared())
    if not (folder / MANIFEST).is_file():
        raise DataError(f"{data.corpus} is not prepared in {folder}: {_way_out(source, data, vocab_size)}")
    prepared = Prepared.open(folder)
    prepared.check_vocabulary(vocab_size)
    return prepared


def ready(data: Data, vocab_size: int, *, progress: Progress = silent) -> Prepared:
    """As :func:`locate`; an embedded corpus is prepared if it is not there yet, and verified if it is.

    What was altered is told and not mended: a run must not go on with other data than it began with.
    """
    if sources.load(data.corpus).kind != "embedded":
        return locate(data, vocab_size)
    if data.tokenizer == "bpe" and not (_folder(data, vocab_size, paths.prepared()) / MANIFEST).is_file():
        prepare(data.corpus, vocab_size=vocab_size, progress=progress)
    prepared = locate(data, vocab_size)
    prepared.verify(progress)
    return prepared


def _folder(data: Data, vocab_size: int, root: Path) -> Path:
    return root / data.corpus / f"{data.tokenizer}-{vocab_size}"


def _way_out(source: sources.Source, data: Data, vocab_size: int) -> str:
    command = f"`repro prepare {data.corpus} vocab_size={vocab_size}`"
    if source.kind == "embedded":
        return f"run {command}"
    override = "data.corpus=python-packages" + (" data.tokenizer=bpe" if data.tokenizer != "bpe" else "")
    return f"{command} will make it in a later version; train offline with {override}"
