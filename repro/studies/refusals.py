"""What is told of a study before anything of it runs: arms that are unlike, a machine or data that are not there."""

from collections.abc import Iterable, Sequence
from typing import Any

from repro.claims.evidence.blocks import residual
from repro.data.locate import locate, ready
from repro.data.progress import bars
from repro.errors import RecipeError
from repro.recipe import Machine, Recipe, here, sources
from repro.recipe.counting import count
from repro.recipe.images import ImageRecipe
from repro.recipe.layout import fit
from repro.recipe.machine import HERE
from repro.recipe.schema import Data, DecoderRecipe, LanguageRecipe
from repro.studies.asked import Asked, Form

SILENT = {"workers", "path"}  # of data: they change no number


def refuse_unlike(of: Form) -> None:
    """Refuse a comparison of arms that differ in more than what it is about.

    Raises:
        RecipeError: which, and by how much.
    """
    for rung in of.study.forms[of.name]:
        for comparison in of.study.comparisons:
            a, b = (of.run("main", rung, arm, 1.0, 0) for arm in (comparison.a, comparison.b))
            if why := _unlike(a, b):
                raise RecipeError(f"study {of.study.name} at {rung} cannot compare {a.arm} and {b.arm}: {why}")


def refuse_misfit(of: Form, machine: Machine) -> None:
    """Refuse a machine that is too small for a run.

    Raises:
        RecipeError: which run, and what it lacks, as ``plan`` says it.
    """
    for recipe in _recipes(of):
        fit(recipe, machine)


def refuse_unready(of: Form, machine: Machine, *, submitted: bool) -> None:
    """Refuse a machine that is not this one, unless its runs are submitted; get embedded data ready, and find others.

    Raises:
        RecipeError: it is another machine.
        DataError: data are not prepared.
    """
    if not submitted:
        _refuse_elsewhere(machine)
    _refuse_without_data(_recipes(of))


def _recipes(of: Form) -> list[Recipe]:
    """One of each arm at each size: rates and seeds change nothing here."""
    return [of.run("main", rung, arm, 1.0, 0).recipe for rung, arm in of.places]


def _unlike(a: Asked, b: Asked) -> str:
    counted = [_weights(run.recipe) for run in (a, b)]
    if counted[0] != counted[1]:
        ours, theirs = counted
        which = "FFN matrices" if isinstance(a.recipe, DecoderRecipe) else "models without their activations"
        return f"their {which} differ by {residual(ours, theirs)}: {ours:,} weights and {theirs:,}"
    for section in ("data", "budget"):
        keys = [key for key in _section(a.recipe, section) if key not in SILENT]
        for key in keys:
            ours, theirs = (_section(run.recipe, section)[key] for run in (a, b))
            if ours != theirs:
                return f"{section}.{key} is {ours} and {theirs}"
    return ""


def _weights(recipe: Recipe) -> int:
    """What arms have to have in common to the last one: FFN matrices, or all but what activations learn."""
    counted = count(recipe.model)
    return counted.ffn_matrices if isinstance(recipe, DecoderRecipe) else counted.total - counted.coefficients


def _section(recipe: Recipe, name: str) -> dict[str, Any]:
    found: dict[str, Any] = getattr(recipe, name).model_dump()
    return found


def _refuse_elsewhere(machine: Machine) -> None:
    """Refuse a machine that this is not."""
    if machine.nodes > 1:
        raise RecipeError(f"machine {machine.name!r} has {machine.nodes} nodes: --submit hands its runs to SLURM")
    if machine.name != HERE and machine.accelerator == "cuda" and here().accelerator != "cuda":
        raise RecipeError(f"machine {machine.name!r} has a GPU, and there is none here; try --on cpu, or --submit")


def _refuse_without_data(recipes: Iterable[Recipe]) -> None:
    """Have embedded data made once, and any other found, rather than have each run say the same."""
    seen: list[object] = []
    for recipe in recipes:
        wanted = _wanted(recipe)
        if wanted not in seen:
            seen.append(wanted)
            _find(recipe)


def _wanted(recipe: Recipe) -> Sequence[object]:
    if isinstance(recipe, ImageRecipe):
        return (recipe.data.source, recipe.data.path, recipe.model.classes)
    assert isinstance(recipe, LanguageRecipe)
    return (recipe.data.corpus, recipe.data.tokenizer, recipe.model.vocab_size)


def _find(recipe: Recipe) -> None:
    if isinstance(recipe, ImageRecipe):
        _find_images(recipe)
        return
    assert isinstance(recipe, LanguageRecipe)
    if _is_embedded(recipe.data):
        with bars() as progress:
            ready(recipe.data, recipe.model.vocab_size, progress=progress)
    else:
        locate(recipe.data, recipe.model.vocab_size)


def _find_images(recipe: ImageRecipe) -> None:
    """Glyphs are drawn by each run; others are looked for, which takes torch."""
    if recipe.data.source == "glyphs":
        return
    from repro.data.images.locate import locate as locate_images

    locate_images(recipe.data, recipe.model.classes)


def _is_embedded(data: Data) -> bool:
    return data.corpus in sources.names() and sources.load(data.corpus).kind == "embedded"
