"""What is known of each data set: its manifest under ``data/manifests/``."""

from typing import Literal

import yaml
from pydantic import Field, PositiveInt, ValidationError

from repro import paths
from repro.errors import DataError, nearest
from repro.recipe.schema import Section

Count = PositiveInt | Literal["not known", "varies"]


class Source(Section):
    """Where a data set comes from, and what of it is published, inferred or not known."""

    name: str
    about: str
    kind: Literal["embedded", "hub"]  # already on this machine, or to be downloaded
    source: str
    revision: str
    licence: str
    files: Count
    bytes: Count
    tokens: Count
    tokenizer: str
    subsets: dict[str, PositiveInt] = Field(default_factory=dict)  # tokens of each
    inferred: tuple[str, ...] = Field(default=(), strict=False)
    notes: tuple[str, ...] = Field(default=(), strict=False)


def names() -> tuple[str, ...]:
    """The data sets that have a manifest, in alphabetical order."""
    return tuple(sorted(path.stem for path in (paths.data() / "manifests").glob("*.yaml")))


def load(name: str) -> Source:
    """The manifest of the data set called ``name``.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    if name not in names():
        raise DataError(f"no data set is called {name!r}.{nearest(name, names())} Known: {', '.join(names())}")
    path = paths.data() / "manifests" / f"{name}.yaml"
    try:
        return Source.model_validate({"name": name} | yaml.safe_load(path.read_text()))
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
