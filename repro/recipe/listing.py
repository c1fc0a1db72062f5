"""Which recipes ``repro list`` shows, and what it says of each."""

from typing import Any

from repro.errors import RecipeError, nearest
from repro.recipe.counting import count
from repro.recipe.loading import admitted, families, load, paper_items, paper_scale, scales
from repro.recipe.schema import LanguageRecipe, Recipe


def listed(family: str | None = None, *, everything: bool = False) -> list[Recipe]:
    """The paper's recipes and the smokes of the activations it ran, or everything; the smallest first.

    Raises:
        RecipeError: there is no such family.
    """
    if family is not None and family not in families():
        hint = nearest(family, families()) or f" There are: {', '.join(families())}."
        raise RecipeError(f"no family is called {family!r}.{hint}")
    chosen = [load(name) for one in ([family] if family else families()) for name in _names(one, everything=everything)]
    return sorted(chosen, key=lambda recipe: (recipe.family, _size(recipe)))


def entry(recipe: Recipe) -> dict[str, Any]:
    """What ``repro list --json`` has of a recipe."""
    return {
        "name": recipe.name,
        "family": recipe.family,
        "scale": recipe.scale,
        "activation": recipe.model.activation,
        "paper_item": recipe.paper_item,
        "parameters": count(recipe.model).total,
        "tokens": recipe.budget.tokens if isinstance(recipe, LanguageRecipe) else None,
    }


def _names(family: str, *, everything: bool) -> list[str]:
    ran = _ran(family) or _ran("dense")
    return [
        f"{family}-{scale}-{activation}"
        for scale in scales(family)
        for activation in admitted(family)
        if everything or activation in paper_items(family, scale) or (scale == "smoke" and activation in ran)
    ]


def _ran(family: str) -> set[str]:
    """The activations with which the paper ran a family."""
    scale = paper_scale(family)
    return set(paper_items(family, scale)) if scale else set()


def _size(recipe: Recipe) -> int:
    """The same for all activations of a scale, so that they keep the table's order."""
    counted = count(recipe.model)
    return counted.total - counted.coefficients
