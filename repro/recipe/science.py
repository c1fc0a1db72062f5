"""The part of a recipe that decides a run's numbers: its fingerprint, and where it differs from the paper."""

from dataclasses import dataclass
from typing import Any

from repro.digests import digest
from repro.recipe.keys import keys
from repro.recipe.lists import HELD_OUT
from repro.recipe.loading import EARLIER, load, paper_items, paper_scale
from repro.recipe.reading import leaves
from repro.recipe.schema import Recipe
from repro.recipe.table import rows

# Keys that came when there were runs: at their value of EARLIER they are in no fingerprint, so that those runs go on.
# The other keys of EARLIER were in fingerprints by then, and stay in them.
CAME_LATER = ("model.ffn_rank", "optim.rank_penalty")


@dataclass(frozen=True)
class Difference:
    """A value that is not the paper's."""

    key: str
    paper: Any
    here: Any


def science(recipe: Recipe) -> dict[str, Any]:
    """By dotted key: model, data, optimizer, budget and precision, without what changes no number."""
    tree = recipe.model_dump(mode="json", include={"model", "data", "optim", "balance", "budget", "precision"})
    found = leaves(tree, keys(recipe.family))
    return {key: value for key, value in found if key not in {"data.workers", "data.path"}}


def fingerprint(recipe: Recipe) -> str:
    """Eight hexadecimal characters of the science, of what its activation builds, and of how a run is validated.

    It is in a run's path and in its checkpoints: a run goes on only with the science that it started with, and its
    validation losses are of one kind from the first to the last.
    """
    row = rows()[recipe.model.activation].model_dump(include={"builds", "options", "gated"})
    parts = _told_apart(recipe) | {"activation": row, "validation": _validation(recipe)}
    return digest(parts, 8)


def _told_apart(recipe: Recipe) -> dict[str, Any]:
    """The science, without new keys where they do what was done before them."""
    found = science(recipe)
    return {key: value for key, value in found.items() if key not in CAME_LATER or value != EARLIER[key]}


def _validation(recipe: Recipe) -> dict[str, Any]:
    """Without the sets beside the run's own, which change no number of it: they may come and go."""
    validation: dict[str, Any] = recipe.model_dump()["validation"]
    own = {"sets": [name for name in validation["sets"] if name == HELD_OUT]} if "sets" in validation else {}
    return validation | own


def differences(recipe: Recipe) -> tuple[Difference, ...]:
    """Where the science differs from the paper's run of this family, with the same activation if the paper has it."""
    scale = paper_scale(recipe.family)
    if scale is None:
        return ()
    activation = recipe.model.activation
    paper = science(load(f"{recipe.family}-{scale}-{activation}"))
    if activation not in (ran := paper_items(recipe.family, scale)):
        paper["model.activation"] = ", ".join(ran)
    here = science(recipe)
    return tuple(Difference(key, paper[key], here[key]) for key in here if here[key] != paper[key])
