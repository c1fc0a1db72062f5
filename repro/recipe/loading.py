"""Recipes by name: the family's base, the scale, the words of the name, and ``key=value`` overrides, in this order."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from repro import paths
from repro.errors import RecipeError, nearest
from repro.recipe.checking import checked
from repro.recipe.families import MoERecipe, schema
from repro.recipe.keys import full_key, keys, known_key, settable_key
from repro.recipe.parameters import ffn_width
from repro.recipe.reading import leaves, parse, place, read, read_once
from repro.recipe.schema import DecoderRecipe, Recipe
from repro.recipe.table import rows

COMMAND_LINE = "the command line"
THE_NAME = "the name"
# What versions before these keys did, whose runs' files lack them.
EARLIER = {
    "data.mixture": None,
    "data.repetition": None,
    "data.document_mask": False,
    "model.ffn_rank": None,
    "optim.rank_penalty": 0.0,
    "analysis.every": None,
}

Settings = dict[str, tuple[Any, str]]  # by dotted key: a value and the file that set it


def names() -> tuple[str, ...]:
    """Every recipe that the files can spell."""
    return tuple(
        f"{family}-{scale}-{activation}"
        for family in families()
        for scale in scales(family)
        for activation in admitted(family)
    )


def families() -> tuple[str, ...]:
    """Folders of recipes."""
    return tuple(sorted(base.parent.name for base in paths.recipes().glob("*/base.yaml")))


def scales(family: str) -> tuple[str, ...]:
    """Sizes of a family, one file each."""
    files = (paths.recipes() / family).glob("*.yaml")
    return tuple(sorted(file.stem for file in files if file.stem != "base"))


def admitted(family: str) -> tuple[str, ...]:
    """The activations that a family's base admits: ``all`` rows of the table, ``plain`` ones, or a list of them."""
    base = paths.recipes() / family / "base.yaml"
    admits = read_once(base).get("admits")
    if admits == "all":
        return tuple(rows())
    if admits == "plain":
        return tuple(name for name, row in rows().items() if not row.gated)
    if isinstance(admits, list) and all(str(word) in rows() for word in admits):
        return tuple(admits)
    raise RecipeError(
        f"{place(base)}: admits is {admits!r}; expected all, plain, or a list of rows of activations.yaml"
    )


def paper_items(family: str, scale: str) -> dict[str, str]:
    """The tables and figures for which the paper ran this scale, by activation."""
    file = paths.recipes() / family / f"{scale}.yaml"
    items = read_once(file).get("paper_items", {})
    if not isinstance(items, dict):
        raise RecipeError(f"{place(file)}: paper_items is {items!r}; expected activations with tables and figures")
    return items


def paper_scale(family: str) -> str | None:
    """The scale at which the paper ran a family, if it ran it."""
    ran = [scale for scale in scales(family) if paper_items(family, scale)]
    if len(ran) > 1:
        raise RecipeError(f"recipes/{family}: {len(ran)} scales have paper_items; expected one, the paper's own")
    return ran[0] if ran else None


def load(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe called ``name``.

    Args:
        name: ``family-scale-activation``.
        overrides: ``key=value`` strings; a key is dotted, or its last part where that is unambiguous. ``lr`` alone
            takes ``min_lr`` along, so that a schedule keeps its shape.

    Raises:
        RecipeError: no recipe has this name, or a key or value is wrong.
    """
    family, scale, activation = _words(name)
    named = {"name": name, "family": family, "scale": scale, "model.activation": activation}
    folder = paths.recipes() / family
    settings = _of_file(folder / "base.yaml", family) | _of_file(folder / f"{scale}.yaml", family)
    settings |= {key: (word, THE_NAME) for key, word in named.items()}
    if item := paper_items(family, scale).get(activation):
        settings["paper_item"] = (item, place(folder / f"{scale}.yaml"))
    given = _of_command_line(overrides, family)
    return _recipe(settings | _floor(settings, given) | given)


def from_file(path: Path) -> Recipe:
    """The recipe that a run folder's ``recipe.yaml``, or ``repro show``, wrote, of an earlier version too.

    Raises:
        RecipeError: the file cannot be read, or is no whole recipe.
    """
    where, tree = place(path), read(path)
    family = str(tree.get("family"))
    earlier = {key: (value, where) for key, value in EARLIER.items() if key in keys(family)}
    return _recipe(
        earlier | {known_key(key, where, family): (value, where) for key, value in leaves(tree, keys(family))}
    )


def _words(name: str) -> tuple[str, str, str]:
    words = name.split("-")
    if len(words) != 3:
        expected = "expected family-scale-activation, such as dense-1b-polynorm"
        raise RecipeError(f"no recipe is called {name!r}; {expected}.{nearest(name, names())}")
    family, scale, activation = words
    _check_word(name, family, "family", families())
    _check_word(name, scale, "scale", scales(family))
    if activation in rows() and activation not in admitted(family):
        raise RecipeError(f"no recipe is called {name!r}: {_not_admitted(family, activation)}.{nearest(name, names())}")
    _check_word(name, activation, "activation", admitted(family))
    return family, scale, activation


def _check_word(name: str, word: str, kind: str, known: Sequence[str]) -> None:
    if word not in known:
        hint = nearest(name, names()) or f" There are: {', '.join(known)}."
        raise RecipeError(f"no recipe is called {name!r}: no {kind} is called {word!r}.{hint}")


def _of_file(path: Path, family: str) -> Settings:
    """What a file of recipes sets; ``admits`` and ``paper_items`` are for this module."""
    where = place(path)
    tree = {key: value for key, value in read_once(path).items() if key not in {"admits", "paper_items"}}
    return {settable_key(key, where, family): (value, where) for key, value in leaves(tree, keys(family))}


def _of_command_line(overrides: Sequence[str], family: str) -> Settings:
    settings: Settings = {}
    for override in overrides:
        word, equals, text = override.partition("=")
        if not equals:
            raise RecipeError(f"{COMMAND_LINE}: {override!r} is not key=value, such as lr=3e-4")
        key = full_key(word, COMMAND_LINE, family)
        if key in settings:
            raise RecipeError(f"{COMMAND_LINE}: {key} is set twice")
        settings[key] = (parse(text, f"{COMMAND_LINE}: {key}"), COMMAND_LINE)
    return settings


def _floor(settings: Settings, given: Settings) -> Settings:
    """``min_lr`` in its proportion to ``lr``, where only ``lr`` is given and all of them are numbers."""
    rates = [
        source.get(key, ("", ""))[0]
        for source, key in ((given, "optim.lr"), (settings, "optim.lr"), (settings, "optim.min_lr"))
    ]
    if "optim.min_lr" in given or not all(type(rate) in {int, float} and rate for rate in rates):
        return {}
    lr, old_lr, old_floor = rates
    return {"optim.min_lr": (float(f"{lr * old_floor / old_lr:.4g}"), COMMAND_LINE)}


def _recipe(settings: Settings) -> Recipe:
    origin = {key: where for key, (_, where) in settings.items()}
    files = " and ".join(dict.fromkeys(where for where in origin.values() if where.endswith(".yaml")))
    values = _nested({key: value for key, (value, _) in settings.items()})
    recipe = checked(schema(str(values["family"])), values | {"origin": origin}, files, origin)
    _check_activation(recipe)
    if isinstance(recipe, DecoderRecipe):
        _check_width(recipe)
    return recipe


def _check_activation(recipe: Recipe) -> None:
    """A row of the table that the family admits: a gated one needs a decoder."""
    activation, where = recipe.model.activation, recipe.origin["model.activation"]
    if activation not in rows():
        raise RecipeError(f"{where}: no activation is called {activation!r}.{nearest(activation, rows())}")
    if activation not in admitted(recipe.family):
        raise RecipeError(f"{where}: {_not_admitted(recipe.family, activation)}")


def _not_admitted(family: str, activation: str) -> str:
    why = "takes no gated activation, and {} is one" if rows()[activation].gated else "does not admit {}"
    return f"{family} {why.format(activation)}"


def _check_width(recipe: DecoderRecipe) -> None:
    """A gated width is two thirds of ``d_ff``, and whole; a rank is at most the smaller side."""
    origin = recipe.origin
    try:
        width = ffn_width(recipe.model)
    except RecipeError as error:
        raise RecipeError(f"{origin['model.d_ff']}: {error}") from None
    rank, smaller = recipe.model.ffn_rank, min(recipe.model.d_model, width)
    if rank and rank > smaller:
        raise RecipeError(
            f"{origin['model.ffn_rank']}: ffn_rank={rank} is above {smaller}, the smaller side of its FFN matrices and "
            "the most that their rank can be"
        )
    if isinstance(recipe, MoERecipe):
        _check_experts(recipe, width)


def _check_experts(recipe: MoERecipe, width: int) -> None:
    """The grouped product takes rows of whole 16 bytes; coefficients an expert are PolyNorm's or PolyReLU's."""
    model, origin = recipe.model, recipe.origin
    if width % 8:
        raise RecipeError(
            f"{origin['model.d_ff']}: d_ff={model.d_ff} gives experts of width {width} with {model.activation}; the "
            "grouped product of experts needs a multiple of 8"
        )
    if model.coefficients == "expert" and rows()[model.activation].builds not in {"PolyNorm", "PolyReLU"}:
        raise RecipeError(
            f"{origin['model.coefficients']}: coefficients=expert needs polynorm or polyrelu, and the activation is "
            f"{model.activation}"
        )


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *above, last = key.split(".")
        section = tree
        for name in above:
            section = section.setdefault(name, {})
        section[last] = value
    return tree
