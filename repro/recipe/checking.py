"""A section of the schema from plain values, or one line that says what is wrong with them and where."""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from repro.errors import RecipeError, nearest
from repro.recipe.schema import Section

S = TypeVar("S", bound=Section)

# What was expected, by pydantic's name of the error; the numbers come with it.
EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a word",
    "bool_type": "true or false",
    "tuple_type": "a list, such as [a, b]",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "literal_error": "{expected}",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "a number below {lt}",
    "less_than_equal": "{le} or less",
    "missing": "a longer list, such as [a, b]",
    "too_long": "a list of {max_length}",
    "too_short": "a list of {min_length} or more",
}

NO_KEYS = {
    "[key]",
    "constrained-int",
}  # with which pydantic says: a key of a mapping; the number of "a number or a word"


def checked(section: type[S], values: Mapping[str, Any], place: str, origin: Mapping[str, str] | None = None) -> S:
    """A validated ``section``.

    Args:
        section: which one.
        values: by key, nested.
        place: the file that is named in an error.
        origin: the file that set each dotted key, where they are several.

    Raises:
        RecipeError: the first thing that is wrong, in one line.
    """
    try:
        return section.model_validate(values)
    except ValidationError as error:
        first = min(error.errors(), key=_weight)
        raise RecipeError(_in_words(first, section, place, origin or {})) from None


def section_in(annotation: Any) -> type[Section] | None:
    """The section that a field holds, or may hold."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)), None)


def as_typed(value: Any) -> str:
    """A value as a person would have typed it: ``true``, ``3e-4``, ``'abc'``."""
    if value is None:
        return "empty"
    return repr(value) if isinstance(value, str | float) else json.dumps(value, default=str)


def _weight(error: ErrorDetails) -> int:
    """Misspelt keys before wrong values, and missing ones last: the misspelt one is often the one that is missing."""
    return {"extra_forbidden": 0, "missing": 2}.get(error["type"], 1)


def _in_words(error: ErrorDetails, section: type[Section], place: str, origin: Mapping[str, str]) -> str:
    key = ".".join(part for part in error["loc"] if isinstance(part, str) and part not in NO_KEYS)
    where, kind = _set_in(key, origin) or place, "dict_type" if error["input"] == {} else error["type"]
    if kind == "value_error":
        return _disagreement(str(error["ctx"]["error"]), key, place, origin)
    if kind == "missing" and isinstance(error["loc"][-1], str):
        return f"{where}: {key} is missing"
    if kind == "extra_forbidden":
        return f"{where}: unknown key {key!r}.{_nearest(key, section)}"
    bounds = {name: f"{bound:g}" if isinstance(bound, float) else bound for name, bound in error.get("ctx", {}).items()}
    expected = EXPECTED.get(kind, error["msg"]).format(**bounds)
    within = isinstance(error["loc"][-1], int) or error["loc"][-1] == "[key]"
    verb = "holds" if within and kind != "missing" else "is"
    return f"{where}: {key} {verb} {as_typed(error['input'])}; expected {expected}"


def _nearest(key: str, section: type[Section]) -> str:
    """A hint at the nearest of the keys that stand where ``key`` does."""
    name, _, rest = key.partition(".")
    inner = section_in(section.model_fields[name].annotation) if name in section.model_fields else None
    return _nearest(rest, inner) if rest and inner else nearest(key, section.model_fields)


def _set_in(key: str, origin: Mapping[str, str]) -> str | None:
    """The file that set ``key``, or the mapping that it is in."""
    while key and key not in origin:
        key = key.rpartition(".")[0]
    return origin.get(key)


def _disagreement(message: str, section: str, place: str, origin: Mapping[str, str]) -> str:
    """``message`` led by the files that set the keys it names."""
    keys = [f"{section}.{key}".lstrip(".") for key in re.findall(r"([\w.]+)=", message)]
    places = dict.fromkeys(origin[key] for key in keys if key in origin)
    return f"{' and '.join(places) or place}: {message}"
