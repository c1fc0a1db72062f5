"""A run as a person sees it: what will happen, how far it is, how it ended."""

import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from repro.data.locate import ready
from repro.data.manifest import Prepared
from repro.data.progress import bars
from repro.data.text import epochs
from repro.errors import RunError
from repro.recipe import Machine, Recipe, load, machine, runs
from repro.recipe.parameters import count
from repro.recipe.plan import fit
from repro.training.build import newest
from repro.training.callbacks.progress import ProgressLine
from repro.training.checkpoints import step_of
from repro.training.ranks import is_first
from repro.training.run import check, is_complete, result, run


def start(name: str, overrides: Sequence[str], *, on: str, seed: int, out: Path | None, console: Console) -> None:
    """Train a recipe by name, saying on ``console`` what it is, where it writes and how it goes."""
    recipe, where = load(name, overrides), machine(on)
    folder = runs.folder(recipe, seed, out)
    say = console if is_first() else Console(quiet=True)
    if is_complete(folder):
        say.print(f"already complete: {folder}\n{_losses(folder)}", highlight=False, soft_wrap=True)
        return
    check(where)
    fit(recipe, where)  # what this machine cannot do is told before anything is written
    _check_writable(folder)
    with bars() as progress:
        prepared = ready(recipe.data, recipe.model.vocab_size, progress=progress)
    checkpoint = newest(folder)
    done = step_of(checkpoint) if checkpoint else 0
    _introduce(recipe, where, prepared, folder, done, say)
    run(recipe, where, prepared, seed=seed, folder=folder, loggers=[ProgressLine(say, steps=recipe.steps, done=done)])
    if is_first():
        say.print(
            f"complete: {_losses(folder)}\ncurves: tensorboard --logdir {folder}", highlight=False, soft_wrap=True
        )


def _check_writable(folder: Path) -> None:
    """Tell before minutes of preparing that a run has nowhere to go."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise RunError(f"cannot write {folder}: {there} is not a folder that can be written")


def _introduce(recipe: Recipe, where: Machine, prepared: Prepared, folder: Path, done: int, console: Console) -> None:
    counted, shared = count(recipe.model), fit(recipe, where)
    entropy = prepared.manifest.entropies
    times = "once" if shared.accumulation == 1 else f"{shared.accumulation} times"
    lines = {
        recipe.name: f"{counted.total:,} parameters, {counted.non_embedding:,} of them not in embeddings",
        "budget": f"{recipe.budget.tokens:,} tokens in {recipe.steps:,} steps of {recipe.budget.tokens_per_step:,}",
        "data": (
            f"{recipe.data.corpus}, {prepared.tokens('train'):,} tokens: "
            f"{epochs(prepared, recipe.budget.tokens):.2g} epochs; entropies of {entropy.unigram:.2f} (unigram) and "
            f"{entropy.bigram:.2f} (bigram) nats per token"
        ),
        "machine": f"{where.device}: {shared.micro_batch} sequences at a time, {times} a step",
        "folder": str(folder) + (f", going on after step {done:,}" if done else ""),
    }
    for word, text in lines.items():
        console.print(f"[bold]{word}[/]  {text}", highlight=False, soft_wrap=True)
    if recipe.evaluation.tasks:
        console.print("the recipe's downstream tasks are not evaluated by this version", style="yellow")


def _losses(folder: Path) -> str:
    last = result(folder)
    skipped = f", {last['skipped_steps']:.0f} steps skipped" if last["skipped_steps"] else ""
    losses = f"loss {last['loss']:.4f}, validation {last['validation_loss']:.4f} nats per token"
    return f"{losses} after {last['steps']:,} steps{skipped}"
