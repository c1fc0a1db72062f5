"""A recipe as YAML that a person can read, and :func:`repro.recipe.loading.from_file` too."""

from collections.abc import Collection, Iterator
from typing import Any

import yaml

from repro.recipe.keys import keys
from repro.recipe.parameters import ffn_width
from repro.recipe.reading import SCALARS
from repro.recipe.schema import Model, Recipe
from repro.recipe.table import rows

WIDEST = 40  # columns of a value that the notes are aligned by; those of longer ones follow them


class Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, with ``1_000`` for a thousand and quotes where our reading would see a number."""


for _name, _pattern in SCALARS.items():
    Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", _pattern, None)
Dumper.add_representer(int, lambda dumper, n: dumper.represent_scalar("tag:yaml.org,2002:int", f"{n:_}"))


def as_yaml(recipe: Recipe, *, origin: bool = False) -> str:
    """``recipe`` as YAML; with ``origin``, beside each value the file that set it."""
    tree, whole = recipe.model_dump(mode="json"), keys(recipe.family)
    lines = [(text, _note(recipe, key, origin=origin)) for text, key in _lines(tree, whole)]
    width = max((len(text) for text, note in lines if note and len(text) <= WIDEST), default=0)
    return "".join(f"{text:<{width}}  # {note}\n" if note else f"{text}\n" for text, note in lines)


def _lines(
    tree: dict[str, Any], whole: Collection[str], above: str = "", indent: str = ""
) -> Iterator[tuple[str, str]]:
    """Each line and the dotted key that it sets, one of ``whole``; a section's headline sets none."""
    for name, value in tree.items():
        if isinstance(value, dict) and f"{above}{name}" not in whole:
            yield f"{indent}{name}:", ""
            yield from _lines(value, whole, f"{above}{name}.", f"{indent}  ")
        else:
            yield f"{indent}{name}: {_scalar(value)}", f"{above}{name}"


def _scalar(value: Any) -> str:
    text: str = yaml.dump(value, Dumper=Dumper, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _note(recipe: Recipe, key: str, *, origin: bool) -> str:
    notes = [recipe.origin[key]] if origin and key in recipe.origin else []
    if key == "model.d_ff" and isinstance(recipe.model, Model) and rows()[recipe.model.activation].gated:
        notes.append(f"gated: two thirds, {ffn_width(recipe.model):_}")
    return "; ".join(notes)
