"""What is known of each data set: its manifest under ``data/manifests/``."""

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, NonNegativeInt, PositiveInt

from repro import paths
from repro.errors import DataError, nearest
from repro.recipe.checking import checked
from repro.recipe.reading import read
from repro.recipe.schema import Section

S = TypeVar("S", bound=Section)
Count = PositiveInt | Literal["not known", "varies"]
# Of file names, as of a shell, by subset; a list in YAML, which pydantic takes for no tuple where it is strict.
Patterns = dict[str, Annotated[tuple[str, ...], Field(strict=False)]]


class Files(Section):
    """Which files are read, and what of them. ``*`` in a pattern stands for anything, a slash included."""

    holds: Literal["text", "tokens"]  # documents, or token ids without a header as `dolma tokens` writes them
    text_key: str = "text"  # the field or column of a document's text
    mixed: Patterns = Field(default_factory=dict)  # a share of the documents is held out
    train: Patterns = Field(default_factory=dict)  # the publisher's own split
    validation: Patterns = Field(default_factory=dict)
    held_out: PositiveInt = 1000  # one document in so many of the mixed files is for validation


class Source(Section):
    """Where a data set comes from, and what of it is published, inferred or not known.

    Attributes:
        kind: ``embedded``, already on this machine; ``hub``, a repository of huggingface.co; ``web``, a list of
            addresses, one a line.
        source: in words for an embedded set; the repository, such as ``allenai/c4``; or the list's address.
        addresses: of the files of a ``web`` set whose publisher lists them nowhere; ``source`` is then their folder.
        revision: a commit of the repository, or ``main``, whose commit is recorded when the set is prepared.
        gated: whether its owner has to be asked, on the hub.
        files: that are read, and so are ``bytes`` and ``tokens``.
        tokens: by the publisher's count, with the publisher's tokenizer.
        tokenizer: what the recipes that use it read it with.
    """

    name: str
    about: str
    kind: Literal["embedded", "hub", "web"]
    source: str
    addresses: tuple[str, ...] = Field(default=(), strict=False)
    revision: str
    licence: str
    gated: bool = False
    files: Count
    bytes: Count  # to download, as stored
    tokens: Count
    tokenizer: Literal["bpe", "llama-2", "olmo"]
    read: Files | None = None  # not of an embedded set
    subsets: dict[str, PositiveInt] = Field(default_factory=dict)  # tokens of each
    inferred: tuple[str, ...] = Field(default=(), strict=False)
    notes: tuple[str, ...] = Field(default=(), strict=False)


class TokenizerSource(Section):
    """One of the paper's tokenizers: a ``tokenizer.json``, as the ``tokenizers`` library reads it.

    Attributes:
        source: the repository of huggingface.co that has it, or what stands for it.
        gated: whether its owner has to be asked, so that a person has to bring the file.
        eos: the token that ends a document.
        sha256: of the file, where it is known.
        probes: texts, and the ids that they become without special tokens.
    """

    name: str
    about: str
    source: str
    revision: str
    file: str
    licence: str
    gated: bool
    vocab_size: PositiveInt
    eos: str
    eos_id: NonNegativeInt
    sha256: str
    probes: dict[str, Annotated[tuple[int, ...], Field(strict=False)]] = Field(default_factory=dict)
    notes: tuple[str, ...] = Field(default=(), strict=False)


def names() -> tuple[str, ...]:
    """The data sets that have a manifest, in alphabetical order."""
    return tuple(sorted(path.stem for path in (paths.data() / "manifests").glob("*.yaml")))


def own() -> tuple[str, ...]:
    """The sets that a person has prepared from files of their own, in alphabetical order."""
    prepared = {path.parents[1].name for path in paths.prepared().glob("*/*/manifest.json")}
    return tuple(sorted(prepared - set(names())))


def load(name: str) -> Source:
    """The manifest of the data set called ``name``.

    Raises:
        DataError: there is none.
        RecipeError: it cannot be read, or is not what one is.
    """
    if name not in names():
        raise DataError(f"no data set is called {name!r}.{nearest(name, names())} Known: {', '.join(names())}")
    return _read(Source, name, paths.data() / "manifests" / f"{name}.yaml")


def tokenizers() -> tuple[str, ...]:
    """The tokenizers that have a manifest, in alphabetical order."""
    return tuple(sorted(path.stem for path in (paths.data() / "manifests" / "tokenizers").glob("*.yaml")))


def load_tokenizer(name: str) -> TokenizerSource:
    """The manifest of one of the paper's tokenizers, ``llama-2`` or ``olmo``.

    Raises:
        RecipeError: it cannot be read, or is not what one is.
    """
    return _read(TokenizerSource, name, paths.data() / "manifests" / "tokenizers" / f"{name}.yaml")


def _read(kind: type[S], name: str, path: Path) -> S:
    return checked(kind, {"name": name} | read(path), str(path))
