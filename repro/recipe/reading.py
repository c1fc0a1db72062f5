"""YAML as a recipe needs it: ``3e-4`` is a number, ``on`` is a word, and a key stands once.

PyYAML reads YAML 1.1, where ``3e-4`` is a string, ``on`` is true and ``16:30`` is 990. Here a scalar is what YAML 1.2
says it is, with ``1_000`` for a thousand and ``1e9`` for a whole number.
"""

import functools
import re
from collections.abc import Collection, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from repro import paths
from repro.errors import RecipeError

_LARGEST = 1e18  # whole numbers beyond it are read as floats: 1e999999999 would fill the memory


# libyaml where PyYAML was built with it, as its wheels are: five times faster, with other words for syntax errors.
_SafeLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Loader(_SafeLoader):  # type: ignore[misc, valid-type]
    """PyYAML's safe loader with YAML 1.2's scalars; a key that stands twice is refused."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping in which each key stands once: PyYAML would silently take the last."""
        seen: list[Any] = []
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.append(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


SCALARS = {
    "null": re.compile(r"(~|null|Null|NULL|)$"),
    "bool": re.compile(r"(true|True|TRUE|false|False|FALSE)$"),
    "int": re.compile(r"[-+]?[0-9]+(_[0-9]+)*$"),
    "float": re.compile(r"[-+]?([0-9]+(_[0-9]+)*(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$"),
}
for _name, _pattern in SCALARS.items():
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", _pattern, None)


def _number(loader: Loader, node: yaml.ScalarNode) -> int | float:
    """An int where the number is whole and written with an exponent or without a point: ``2_500``, ``2.5e9``."""
    text = node.value.lower().replace("_", "")
    value = float(text)
    written_whole = "e" in text or "." not in text
    return int(Decimal(text)) if written_whole and value.is_integer() and abs(value) < _LARGEST else value


Loader.add_constructor("tag:yaml.org,2002:int", _number)
Loader.add_constructor("tag:yaml.org,2002:float", _number)


def parse(text: str, place: str) -> Any:
    """The value that ``text`` spells; ``place`` is named when it spells none."""
    try:
        return yaml.load(text, Loader)  # a safe loader with other scalars
    except yaml.YAMLError as error:
        problem = _problem(error) if "\n" in text else f"{text!r} is no value"
        raise RecipeError(f"{place}: {problem}") from None


def read(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        RecipeError: it cannot be read, or is no mapping.
    """
    try:
        tree = parse(path.read_text(encoding="utf-8"), place(path))
    except OSError as error:
        raise RecipeError(f"{place(path)}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise RecipeError(f"{place(path)}: is not text in UTF-8") from None
    if not isinstance(tree, dict):
        raise RecipeError(f"{place(path)}: holds {type(tree).__name__}; expected keys with values")
    return tree


@functools.cache
def read_once(path: Path) -> dict[str, Any]:
    """:func:`read` of one of the kit's own files, which a command reads many times: do not change what it returns."""
    return read(path)


def place(path: Path) -> str:
    """How a file is named to a person: ``recipes/dense/1b.yaml``, wherever the kit is installed."""
    root = paths.recipes()
    return f"recipes/{path.relative_to(root).as_posix()}" if path.is_relative_to(root) else str(path)


def leaves(tree: dict[str, Any], whole: Collection[str] = (), prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values. A mapping is a value under a key of ``whole``, or if it is empty."""
    for key, value in tree.items():
        if isinstance(value, dict) and value and f"{prefix}{key}" not in whole:
            yield from leaves(value, whole, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"{error.problem} at line {error.problem_mark.line + 1}"
    return " ".join(str(error).split())
