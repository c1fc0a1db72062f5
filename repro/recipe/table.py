"""The table of activations, ``recipes/activations.yaml``: what each word of a recipe's name builds."""

import functools
from pathlib import Path

from pydantic import Field, NonNegativeInt, PositiveInt

from repro import paths
from repro.errors import RecipeError
from repro.recipe.checking import checked
from repro.recipe.reading import place, read_once
from repro.recipe.schema import Section


class Row(Section):
    """One activation."""

    builds: str  # the class in repro.activations
    options: dict[str, bool | int | float | str] = Field(default_factory=dict)
    gated: bool = False
    parameters: NonNegativeInt = 0  # learnable coefficients of one instance; a model has one instance a layer
    kept: PositiveInt  # tensors of the FFN's width that autograd keeps for the backward pass, the projection's included
    works: NonNegativeInt = 0  # bytes a number of that width that the backward pass of torch's own operators needs
    paper: str  # where the paper defines or uses it, or who did
    about: str = ""


def rows() -> dict[str, Row]:
    """The table, by the name of the activation, in its own order."""
    return _rows(paths.recipes() / "activations.yaml")


@functools.cache
def _rows(path: Path) -> dict[str, Row]:
    table = {name: _row(path, name, values) for name, values in read_once(path).items()}
    if split := next((name for name in table if "-" in name), None):
        raise RecipeError(f"{place(path)}: {split!r} has a hyphen, which separates the words of a recipe's name")
    return table


def _row(path: Path, name: str, values: object) -> Row:
    if not isinstance(values, dict):
        raise RecipeError(f"{place(path)}: {name} holds {type(values).__name__}; expected keys with values")
    return checked(Row, values, f"{place(path)}: {name}")
