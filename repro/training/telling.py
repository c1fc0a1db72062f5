"""What a run says of itself, before it begins and when it is complete."""

import math
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.text import Text

from repro.data.images.pictures import ImageSet
from repro.data.manifest import Prepared
from repro.data.mixture import Mixture
from repro.data.text import epochs, never_read
from repro.recipe import Machine, Recipe
from repro.recipe.counting import count
from repro.recipe.images import ImageRecipe
from repro.recipe.layout import fit
from repro.recipe.schema import LanguageRecipe
from repro.training.build import Data
from repro.training.run import result
from repro.training.validation_file import VALIDATION, changed

UNREAD = 0.01  # of the tokens; less goes without saying


def introduce(recipe: Recipe, where: Machine, data: Data, folder: Path, done: int, console: Console) -> None:
    """Say what will be trained on what, and where it goes."""
    counted, shared = count(recipe.model), fit(recipe, where)
    text = isinstance(recipe, LanguageRecipe)
    times = "once" if shared.accumulation == 1 else f"{shared.accumulation} times"
    inner = f"{counted.non_embedding:,} of them not in {'embeddings' if text else 'the classifier'}"
    lines = {
        recipe.name: f"{counted.total:,} parameters, {inner}",
        "budget": _budget(recipe),
        "data": _described(recipe, data),
        **_mixed(recipe, data),
        **_unread(recipe, data),
        **_evaluated(recipe),
        "machine": f"{where.device}: {shared.micro_batch} {'sequence' if text else 'image'}s at a time, {times} a step",
        "folder": str(folder) + (f", going on after step {done:,}" if done else ""),
    }
    for word, said in lines.items():
        console.print(Text.assemble((word, "bold"), f"  {said}"), highlight=False, soft_wrap=True)


def tell_changed(folder: Path, sets: Mapping[str, str], console: Console) -> None:
    """Say which validation sets, by name and fingerprint, have other tokens than when this run was last validated."""
    for name, before in changed(folder, sets).items():
        told = f"{name} has fingerprint {sets[name]} and had {before}: {VALIDATION} goes on with another set"
        console.print(told, style="yellow", highlight=False, soft_wrap=True)


def _budget(recipe: Recipe) -> str:
    if isinstance(recipe, ImageRecipe):
        return f"{recipe.budget.epochs:,} epochs: {recipe.steps:,} steps of {recipe.batch:,} images"
    assert isinstance(recipe, LanguageRecipe)
    return f"{recipe.budget.tokens:,} tokens in {recipe.steps:,} steps of {recipe.budget.tokens_per_step:,}"


def _described(recipe: Recipe, data: Data) -> str:
    if isinstance(data, ImageSet):
        images = f"{len(data.train):,} training and {len(data.validation):,} validation images"
        return f"{data.name}, {images} of {len(data.classes):,} classes"
    assert isinstance(recipe, LanguageRecipe)
    assert isinstance(data, Prepared)
    entropy = data.manifest.entropies
    often = "" if recipe.data.mixture else f": {epochs(data, recipe.budget.tokens, recipe.data.context):.2g} epochs"
    told = f"{recipe.data.corpus}, {data.tokens('train'):,} tokens{often}"
    if not entropy:
        return told
    return f"{told}; entropies of {entropy.unigram:.2f} (unigram) and {entropy.bigram:.2f} (bigram) nats per token"


def _mixed(recipe: Recipe, data: Data) -> dict[str, str]:
    """The share of each subset and its epochs, where there is a mixture."""
    if not (isinstance(recipe, LanguageRecipe) and recipe.data.mixture):
        return {}
    assert isinstance(data, Prepared)
    mixture = Mixture(data, recipe.data.mixture, recipe.data.context)
    times = mixture.epochs(recipe.steps * recipe.sequences_per_step)
    subsets = [f"{part.name} {float(part.share):.3g} ({times[part.name]:.2g} epochs)" for part in mixture.parts]
    without = f"; none of {', '.join(mixture.left_out)}" if mixture.left_out else ""
    return {"mixture": ", ".join(subsets) + without}


def _unread(recipe: Recipe, data: Data) -> dict[str, str]:
    """How many of the tokens that are asked for a run cannot read, where that is worth a word."""
    if not isinstance(recipe, LanguageRecipe):
        return {}
    assert isinstance(data, Prepared)
    mixture, context = recipe.data.mixture, recipe.data.context
    share = never_read([s for s in data.shards("train") if mixture is None or s.subset in mixture], context)
    where = f"in shards of at most context={context:,} tokens, or at a shard's end"
    return {"never read": f"{share:.0%} of the training tokens, which are {where}"} if share > UNREAD else {}


def _evaluated(recipe: Recipe) -> dict[str, str]:
    """What it is evaluated on as it trains, where that is more than its own validation split."""
    if not isinstance(recipe, LanguageRecipe):
        return {}
    sets, tasks = recipe.validation.sets, recipe.evaluation.tasks
    often = f"every {recipe.evaluation.every:,} steps and " if recipe.evaluation.every else ""
    return ({"validation": f"{', '.join(sets)}, every {recipe.validation.every:,} steps"} if len(sets) > 1 else {}) | (
        {"tasks": f"{', '.join(tasks)}, {often}at the end"} if tasks else {}
    )


def results(folder: Path, recipe: Recipe) -> str:
    """What came out of a complete run."""
    last, guess = result(folder), _guess(recipe)
    validated = f", validation {_number(last['validation_loss'])}" if "validation_loss" in last else ""
    skipped = f", {last['skipped_steps']:.0f} steps skipped" if last["skipped_steps"] else ""
    told = f"loss {_number(last['loss'])}{validated} (nats per "
    told += f"image), top-1 {last['top1']:.2%}, top-5 {last['top5']:.2%}" if "top1" in last else "token)"
    told += f" after {last['steps']:,} steps{skipped}"
    validation = last.get("validation_loss", 0.0)  # a run need not be validated on what is held out
    lost = validation is None or validation >= guess
    return f"{told}\nvalidation is no better than a guess ({guess:.4f})" if lost else told


def _number(loss: float | None) -> str:
    if loss is None:
        return "not finite"
    return f"{loss:.4g}" if loss >= 1000 else f"{loss:.4f}"


def _guess(recipe: Recipe) -> float:
    """The loss of equal odds for every class or token."""
    if isinstance(recipe, ImageRecipe):
        return math.log(recipe.model.classes)
    assert isinstance(recipe, LanguageRecipe)
    return math.log(recipe.model.vocab_size)
