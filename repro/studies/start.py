"""The smoke as a person sees it."""

import datetime
import math
import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Console

from repro import paths
from repro.claims import plots
from repro.data.locate import ready
from repro.data.progress import bars
from repro.errors import RecipeError
from repro.recipe import Machine, Recipe, here, load, machine, names, runs
from repro.recipe.images import ImageRecipe
from repro.recipe.machine import HERE
from repro.recipe.schema import DecoderRecipe, LanguageRecipe
from repro.studies.agreement import agreement
from repro.studies.check import Check, insist, tell
from repro.studies.smoke import ARMS, SEED, Floor, smoke

STEADY = ("relu", "polynorm")
CAVEAT = "A smoke run tests the software. It is no evidence for or against the paper."


def start(name: str | None, *, everything: bool, on: str, console: Console) -> None:
    """Train the smoke's arms on ``on``, print the checks, draw the curves.

    Raises:
        CheckFailed: a run or a check failed.
    """
    arms, where = _arms(name, everything=everything), machine(on)
    _check(where)
    out = paths.runs() / f"smoke-{datetime.datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}"
    families = {family: list(names) for family, names in groupby(arms, key=lambda arm: arm.split("-")[0])}
    outcome = [check for names in families.values() for check in _family(names, where, out, console)]
    agreed = agreement(where.accelerator)
    tell([agreed], console)
    console.print(f"\nTensorBoard  tensorboard --logdir {out}", highlight=False, soft_wrap=True)
    console.print(CAVEAT, style="bold")
    insist([*outcome, agreed])


def _family(arms: Sequence[str], where: Machine, out: Path, console: Console) -> list[Check]:
    """Train and check the arms of one family, and draw their curves."""
    recipe = load(arms[0])
    floor, levels, what = _known(recipe)
    outcome = smoke(arms, where, floor, out=out, console=console)
    picture = out / f"curves-{recipe.family}.png"
    drawn = {load(arm).model.activation: runs.folder(load(arm), SEED, out) for arm in arms}
    drawn = {name: folder for name, folder in drawn.items() if _began(folder)}
    tell(outcome, console)
    if drawn:
        title = f"{recipe.family}-{recipe.scale} on {what}, one seed: tests the software, not the paper"
        plots.curves(drawn, picture, levels=levels, title=title)
        console.print(f"curves  {picture}\n", highlight=False, soft_wrap=True)
    return outcome


def _began(folder: Path) -> bool:
    metrics = folder / "metrics.csv"
    return metrics.is_file() and bool(runs.read_metrics(metrics))


def _known(recipe: Recipe) -> tuple[Floor, dict[str, float], str]:
    """What has to be beaten, the lines that the curves are drawn with, and the name of the data."""
    if isinstance(recipe, ImageRecipe):
        guess = math.log(recipe.model.classes)
        return Floor("a guess", "does better than a guess", guess), {"a guess": guess}, recipe.data.source
    assert isinstance(recipe, LanguageRecipe)
    with bars() as progress:
        entropy = ready(recipe.data, recipe.model.vocab_size, progress=progress).manifest.entropies
    assert entropy is not None, "a smoke reads an embedded corpus, which has both splits"
    levels = {"unigram entropy": entropy.unigram, "bigram entropy": entropy.bigram}
    floor = Floor("unigram entropy", "learned more than how often a token occurs", entropy.unigram)
    return floor, levels, recipe.data.corpus


def _check(where: Machine) -> None:
    """Tell what this machine cannot do before anything is written. Without torch: its memory is for the runs."""
    if where.name != HERE and where.world_size > 1:
        raise RecipeError(
            f"a smoke runs on one device, and machine {where.name!r} has {where.world_size}; try --on gpu"
        )
    if where.accelerator == "cuda" and here().accelerator != "cuda":
        raise RecipeError(f"machine {where.name!r} has a GPU, and there is none here; try --on cpu")


def _arms(name: str | None, *, everything: bool) -> Sequence[str]:
    """Names at the smoke's scale: that of the given recipe, those of every family, or the six of the comparison.

    Of networks without a decoder's norms only ReLU and PolyNorm: some of the others diverge there, which `repro run`
    records, and which is a result and no failure of the software.
    """
    if name is not None:
        recipe = load(name)
        return [f"{recipe.family}-smoke-{recipe.model.activation}"]
    if everything:
        smokes = [load(recipe) for recipe in names() if recipe.split("-")[1] == "smoke"]
        return [r.name for r in smokes if isinstance(r, DecoderRecipe) or r.model.activation in STEADY]
    return [f"dense-smoke-{arm}" for arm in ARMS]
