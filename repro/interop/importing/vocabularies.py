"""The tokenizer of imported weights: the one that a person names, or the one that lies beside them."""

import json
from pathlib import Path

from repro import paths
from repro.data import tokenizer
from repro.data.manifest import TOKENIZER
from repro.data.preparing.tokenizer_files import given
from repro.data.progress import Progress, silent
from repro.errors import DataError, RunError
from repro.interop.importing.stored import Checkpoint
from repro.recipe.schema import TextModel
from repro.training.vocabulary import VOCABULARY, Vocabulary

CONFIG = "tokenizer_config.json"
_BEGINS = (
    "its tokenizer puts {} (id {}) before a text, and so does what evaluates and writes a text that follows nothing"
)


def find(
    word: str | None, checkpoint: Checkpoint, model: TextModel, progress: Progress = silent
) -> tuple[Vocabulary | None, str]:
    """It, if there is one, and what a person should know of it, or that there is none.

    Args:
        word: a file, a folder with one, or a tokenizer of the paper's; None looks beside the weights.
        checkpoint: of others.
        model: whose embedding has to hold every entry.

    Raises:
        DataError: what ``word`` names is no tokenizer, or says not where a text ends.
        RunError: it has entries that the model has not.
    """
    beside = checkpoint.files[0].parent / TOKENIZER
    if word is None and not beside.is_file():
        return None, f"no {TOKENIZER} lies beside it: what takes text needs another import, with tokenizer=FILE"
    try:
        found = _read(word, beside, progress)
    except DataError as error:
        if word is not None:
            raise
        return None, f"{error}; what takes text needs another import, with tokenizer=FILE"
    _refuse_larger(found, model)
    return found, "" if found.bos_id is None else _BEGINS.format(
        found.tokenizer.id_to_token(found.bos_id), found.bos_id
    )


def _read(word: str | None, beside: Path, progress: Progress) -> Vocabulary:
    path = beside if word is None else Path(word).expanduser()
    file = path / TOKENIZER if path.is_dir() else path
    if file.is_file() and (ours := _ours(file)):
        return ours
    if file.is_file() and (eos_id := _said(file)) is not None:
        return Vocabulary(file, eos_id, _begins(file))
    known = given(str(word or beside), root=paths.prepared(), progress=progress)
    return Vocabulary(known.path, known.eos_id, _begins(known.path))


def _ours(file: Path) -> Vocabulary | None:
    """As a run's folder has it."""
    try:
        said = json.loads(file.with_name(VOCABULARY).read_text())
        return Vocabulary(file, int(said["eos_id"]), int(said["bos_id"]) if "bos_id" in said else None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _begins(file: Path) -> int | None:
    """The token that a tokenizer puts before a text, as Llama's does, if it is one."""
    by = tokenizer.read(file)
    alone, whole = (by.encode("a", add_special_tokens=special).ids for special in (False, True))
    if len(whole) == len(alone) or whole[1 : 1 + len(alone)] != alone or by.id_to_token(whole[0]) is None:
        return None
    return int(whole[0])


def _said(file: Path) -> int | None:
    """What ends a text, as Hugging Face's folders say beside a tokenizer."""
    try:
        eos = json.loads(file.with_name(CONFIG).read_text()).get("eos_token")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    text = eos.get("content") if isinstance(eos, dict) else eos
    return tokenizer.read(file).token_to_id(text) if isinstance(text, str) else None


def _refuse_larger(found: Vocabulary, model: TextModel) -> None:
    entries = max(tokenizer.entries(found.tokenizer), found.eos_id + 1, found.first_id + 1)
    if entries > model.vocab_size:
        raise RunError(
            f"{found.path} has {entries:,} entries, and the model a vocabulary of {model.vocab_size:,}: it is another "
            "model's; name its own with tokenizer=FILE"
        )
