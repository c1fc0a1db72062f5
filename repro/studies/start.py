"""The smoke as a person sees it."""

import datetime
import os
from collections.abc import Sequence

from rich.console import Console

from repro import paths
from repro.claims import plots
from repro.data.locate import ready
from repro.data.progress import bars
from repro.errors import RecipeError
from repro.recipe import Machine, here, load, machine, names, runs
from repro.recipe.machine import HERE
from repro.studies.check import report
from repro.studies.smoke import ARMS, SEED, smoke

CAVEAT = "A smoke run tests the software. It is no evidence for or against the paper."


def start(name: str | None, *, everything: bool, on: str, console: Console) -> None:
    """Train the smoke's arms on ``on``, print the checks, draw the curves.

    Raises:
        CheckFailed: a run or a check failed.
    """
    arms = _arms(name, everything=everything)
    recipe, where = load(arms[0]), machine(on)
    _check(where)
    with bars() as progress:
        prepared = ready(recipe.data, recipe.model.vocab_size, progress=progress)
    out = paths.runs() / f"smoke-{datetime.datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}"
    outcome = smoke(arms, where, prepared, out=out, console=console)
    entropy = prepared.manifest.entropies
    plots.curves(
        {load(arm).model.activation: runs.folder(load(arm), SEED, out) for arm in arms},
        out / "curves.png",
        levels={"unigram entropy": entropy.unigram, "bigram entropy": entropy.bigram},
        title=f"{recipe.family}-{recipe.scale} on {recipe.data.corpus}, one seed: tests the software, not the paper",
    )
    report(outcome, console)
    results = f"\ncurves       {out / 'curves.png'}\nTensorBoard  tensorboard --logdir {out}"
    console.print(results, highlight=False, soft_wrap=True)
    console.print(CAVEAT, style="bold")


def _check(where: Machine) -> None:
    """Tell what this machine cannot do before anything is written. Without torch: its memory is for the runs."""
    if where.name != HERE and where.world_size > 1:
        raise RecipeError(
            f"a smoke runs on one device, and machine {where.name!r} has {where.world_size}; try --on gpu"
        )
    if where.accelerator == "cuda" and here().accelerator != "cuda":
        raise RecipeError(f"machine {where.name!r} has a GPU, and there is none here; try --on cpu")


def _arms(name: str | None, *, everything: bool) -> Sequence[str]:
    """Names at the smoke's scale: that of the given recipe, every admissible one, or the six of the comparison."""
    if name is not None:
        recipe = load(name)
        return [f"{recipe.family}-smoke-{recipe.model.activation}"]
    if everything:
        return [recipe for recipe in names() if recipe.split("-")[1] == "smoke"]
    return [f"dense-smoke-{arm}" for arm in ARMS]
