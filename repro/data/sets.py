"""The prepared sets that a model can be evaluated on: those that its own tokenizer made."""

import shlex
from pathlib import Path

from repro import paths
from repro.data.manifest import MANIFEST, Prepared, is_older, read
from repro.data.shards import sha256
from repro.errors import DataError, nearest
from repro.recipe import sources
from repro.recipe.lists import HELD_OUT
from repro.recipe.sources import Source


def find(name: str, *, tokenizer: Path, root: Path | None = None) -> Prepared:
    """The set ``name`` as ``tokenizer`` made it, opened.

    Args:
        name: of a corpus.
        tokenizer: the model's ``tokenizer.json``.
        root: where prepared sets lie; ``$REPRO_DATA`` by default.

    Raises:
        DataError: there is no such set, it is not prepared with this tokenizer, or damaged.
    """
    check_name(name)
    wanted = sha256(tokenizer)
    for path in sorted(((root or paths.prepared()) / name).glob(f"*/{MANIFEST}")):
        if not is_older(path.parent) and read(path.parent).tokenizer.sha256 == wanted:
            return Prepared.open(path.parent)
    raise DataError(f"{name} is not prepared with the tokenizer of this model: {_way_out(name, tokenizer, wanted)}")


def check_name(name: str) -> None:
    """Refuse a word that is neither a manifest's name nor that of a set that was prepared here, nor ``held-out``.

    Raises:
        DataError: it is not.
    """
    known = (HELD_OUT, *sources.names(), *sources.own())
    if name not in known:
        raise DataError(f"no data set is called {name!r}.{nearest(name, known)} Known: {', '.join(known)}")


def _way_out(name: str, tokenizer: Path, digest: str) -> str:
    """The command that prepares it, if there is one."""
    if name not in sources.names():
        return f"run `repro prepare path=FOLDER name={name} tokenizer={shlex.quote(str(tokenizer))}`"
    source = sources.load(name)
    if source.kind == "embedded":
        return "it is tokenised by a BPE of its own, and only models that were trained on it read that"
    if source.read and source.read.holds == "tokens":
        return _of_tokens(source, digest)
    known = [each for each in sources.tokenizers() if sources.load_tokenizer(each).sha256 == digest]
    return f"run `repro prepare {name} tokenizer={known[0] if known else shlex.quote(str(tokenizer))}`"


def _of_tokens(source: Source, digest: str) -> str:
    if sources.load_tokenizer(source.tokenizer).sha256 == digest:
        return f"run `repro prepare {source.name}`"
    return f"it is published as token ids of the tokenizer {source.tokenizer!r}, which is not that of this model"
