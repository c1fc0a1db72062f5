"""The dotted keys of a recipe, and what a person may call them."""

import difflib
import functools
from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from repro.errors import RecipeError
from repro.recipe.checking import section_in
from repro.recipe.families import schema

FROM_THE_NAME = ("name", "family", "scale", "model.activation")


@functools.cache
def keys(family: str) -> tuple[str, ...]:
    """Every key of a family that holds a value, such as ``optim.weight_decay.norms``."""
    return tuple(key for key, _ in _fields(schema(family)))


@functools.cache
def sections(family: str) -> tuple[str, ...]:
    """Every key of a family that holds keys, such as ``optim.weight_decay``."""
    above = (key.rpartition(".")[0] for key in keys(family))
    inner = {section for section in above if section}
    return tuple(sorted(inner | {section.partition(".")[0] for section in inner}))


def settable_key(key: str, place: str, family: str) -> str:
    """``key`` if a recipe's file or the command line may set it.

    Raises:
        RecipeError: it is unknown, a section, or decided by the recipe's name.
    """
    if key in FROM_THE_NAME:
        raise RecipeError(f"{place}: {key} follows from the recipe's name and cannot be set; choose another name")
    return known_key(key, place, family)


def known_key(key: str, place: str, family: str) -> str:
    """``key`` if it holds a value.

    Raises:
        RecipeError: it is unknown, or a section.
    """
    if key in keys(family):
        return key
    if key in sections(family):
        raise RecipeError(f"{place}: {key} is a section and takes no value; its keys are {_within(key, family)}")
    if whole := _set_whole(key, family):
        raise RecipeError(f"{place}: {key} cannot be set alone; expected all of it, such as {whole}")
    raise RecipeError(f"{place}: unknown key {key!r}.{_nearest_key(key, family)}")


def full_key(word: str, place: str, family: str) -> str:
    """The dotted key that ``word`` is or, if there is only one such, ends in: ``lr`` is ``optim.lr``.

    Raises:
        RecipeError: no key or more than one ends in it, or a file may not set it.
    """
    if word in keys(family) or word in sections(family):
        return settable_key(word, place, family)
    ending = [key for key in (*keys(family), *sections(family)) if key.endswith(f".{word}")]
    if len(ending) > 1:
        raise RecipeError(f"{place}: {word} could be {' or '.join(ending)}; write it out")
    return settable_key(ending[0] if ending else word, place, family)


@functools.cache
def _whole(family: str) -> dict[str, type[BaseModel]]:
    """Sections that may be null, and so are set whole, by key."""
    held = {key: section_in(field.annotation) for key, field in _fields(schema(family))}
    return {key: section for key, section in held.items() if section}


def _set_whole(key: str, family: str) -> str | None:
    """How that is set which ``key`` is meant to be in, by its own name or by the section's."""
    above, _, name = key.rpartition(".")
    for owner, section in _whole(family).items():
        if f".{owner}".endswith(f".{above}") if above else name in section.model_fields:
            return f"{owner}={_example(section)}"
    return None


def _example(section: type[BaseModel]) -> str:
    inner = (f"{name}: {(field.examples or ['...'])[0]}" for name, field in section.model_fields.items())
    return f"{{{', '.join(inner)}}}"


def _fields(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, f"{prefix}{name}.")
        elif not field.exclude:
            yield f"{prefix}{name}", field


def _within(section: str, family: str) -> str:
    return ", ".join(key for key in keys(family) if key.startswith(f"{section}."))


def _nearest_key(word: str, family: str) -> str:
    """A hint at the nearest key, also when only its last part was written."""
    spellings = {key.rpartition(".")[2]: key for key in reversed(keys(family))} | {key: key for key in keys(family)}
    near = difflib.get_close_matches(word, spellings, n=1)
    return f" Did you mean {spellings[near[0]]!r}?" if near else " `repro show NAME` lists the keys."
