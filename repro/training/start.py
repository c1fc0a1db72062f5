"""A run as a person sees it: what will happen, how far it is, how it ended."""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import lightning
from rich.console import Console

from repro.data.images.locate import locate as locate_images
from repro.data.locate import locate, ready
from repro.data.manifest import Prepared
from repro.data.progress import bars, silent
from repro.errors import DataError, Preempted, ReproError, RunError
from repro.paths import write_whole
from repro.recipe import Recipe, fingerprint
from repro.recipe.images import ImageRecipe
from repro.recipe.layout import fit
from repro.recipe.schema import LanguageRecipe
from repro.training import text
from repro.training.build import Data
from repro.training.callbacks.progress import ProgressLine
from repro.training.checkpoints import step_of
from repro.training.launch import PREEMPTED, Job, job
from repro.training.meeting import meeting
from repro.training.ranks import by_torchrun, is_first, started
from repro.training.record import refuse_other_data, versions
from repro.training.resuming import newest
from repro.training.run import check, is_complete, refuse_diverged, run
from repro.training.telling import introduce, results, tell_changed
from repro.training.torchrun import handed_over, start_all

# What else is done with the model as it trains, made before anything is written.
Evaluating = Callable[[Recipe, Data, Path], Sequence[lightning.Callback]]
# What a complete run has no results of although its recipe names it, in words for a person; nothing if it has all.
Lacking = Callable[[Recipe, Path], str]


def start(
    name: str,
    overrides: Sequence[str],
    *,
    on: str,
    seed: int,
    out: Path | None,
    console: Console,
    evaluating: Evaluating = lambda recipe, data, folder: (),
    lacking: Lacking = lambda recipe, folder: "",
) -> None:
    """Train a recipe by name, saying on ``console`` what it is, where it writes and how it goes."""
    say = console if is_first() else Console(quiet=True)
    try:
        with meeting() as others:
            beginning = others.together(
                lambda: _begin(job(name, overrides, on=on, seed=seed, out=out), evaluating, lacking), _said
            )
            _go_on(beginning, say)
    except ReproError as error:
        if not (by_torchrun() and handed_over(error)):
            raise


@dataclass(frozen=True)
class Beginning:
    """What all processes of a run begin with. A run that is complete needs no data."""

    job: Job
    data: Data | None
    sets: Mapping[str, str] = field(default_factory=dict)  # fingerprints of those that it is validated on beside it
    evaluating: Sequence[lightning.Callback] = ()
    lacking: str = ""  # by a complete run


def _begin(asked: Job, evaluating: Evaluating, lacking: Lacking) -> Beginning:
    """What can be wrong is told now, before anything is written."""
    if is_complete(asked.folder):
        _check_same_data(asked)
        return Beginning(asked, None, lacking=lacking(asked.recipe, asked.folder))
    check(asked.machine)
    layout = fit(asked.recipe, asked.machine)
    _check_writable(asked.folder)
    data, sets = _data(asked.recipe), dict[str, str]()
    if isinstance(asked.recipe, LanguageRecipe):
        assert isinstance(data, Prepared)
        served = text.data(asked.recipe, data, layout, seed=asked.seed)  # a split may be too short, a set not be there
        sets = {sample.set: sample.fingerprint for sample in served.samples}
    return Beginning(asked, data, sets, evaluating(asked.recipe, data, asked.folder))


def _said(beginning: Beginning) -> dict[str, object]:
    """What is to be the same on all processes, in the words of an error."""
    asked = beginning.job
    return {
        "what they train": f"{asked.recipe.name} ({fingerprint(asked.recipe)})",
        "the seed": asked.seed,
        "the layout": f"{asked.recipe.layout} on {asked.machine.name!r}, {fit(asked.recipe, asked.machine)}",
        "the run's folder": asked.folder,
        "the data": beginning.data.fingerprint if beginning.data else "a complete run",
        "the validation sets": beginning.sets,
        "the version": versions()["repro"],
    }


def _go_on(beginning: Beginning, say: Console) -> None:
    asked = beginning.job
    if beginning.data is None:
        refuse_diverged(asked.folder)
        told = f"already complete: {asked.folder}\n{results(asked.folder, asked.recipe)}"
        say.print(told, highlight=False, soft_wrap=True, markup=False)
        if beginning.lacking:
            say.print(beginning.lacking, highlight=False, soft_wrap=True, markup=False, style="yellow")
        return
    if is_first():
        (asked.folder / PREEMPTED).unlink(missing_ok=True)
    if asked.machine.world_size > started():
        start_all(asked)
    else:
        _train(beginning, beginning.data, say)


def _train(beginning: Beginning, data: Data, say: Console) -> None:
    """In this process, alone or one of several."""
    asked, recipe, folder = beginning.job, beginning.job.recipe, beginning.job.folder
    checkpoint = newest(folder)
    done = step_of(checkpoint) if checkpoint else 0
    introduce(recipe, asked.machine, data, folder, done, say)
    tell_changed(folder, beginning.sets, say)
    progress = ProgressLine(say, steps=recipe.steps, done=done)
    try:
        run(
            recipe,
            asked.machine,
            data,
            seed=asked.seed,
            folder=folder,
            loggers=[progress],
            evaluating=beginning.evaluating,
        )
    except Preempted as stopped:
        if is_first():
            write_whole(folder / PREEMPTED, f"{stopped}\n")
        raise
    if is_first():  # which alone has written the result by now
        say.print(
            f"complete: {results(folder, recipe)}\ncurves: tensorboard --logdir {folder}",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )


def _data(recipe: Recipe) -> Data:
    if isinstance(recipe, ImageRecipe):
        return locate_images(recipe.data, recipe.model.classes)
    assert isinstance(recipe, LanguageRecipe)
    text.check_sets(recipe)
    with bars() if is_first() else contextlib.nullcontext(silent) as progress:
        return ready(recipe.data, recipe.model.vocab_size, progress=progress)


def _check_same_data(complete: Job) -> None:
    """Tell a complete run from one on the data that are here now; where there are none, nothing is asked of it."""
    with contextlib.suppress(DataError):
        refuse_other_data(complete.folder, _there(complete.recipe))


def _there(recipe: Recipe) -> Data:
    """The data as they lie here, neither prepared nor read through."""
    if isinstance(recipe, ImageRecipe):
        return locate_images(recipe.data, recipe.model.classes)
    assert isinstance(recipe, LanguageRecipe)
    return locate(recipe.data, recipe.model.vocab_size)


def _check_writable(folder: Path) -> None:
    """Tell before minutes of preparing that a run has nowhere to go."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise RunError(f"cannot write {folder}: {there} is not a folder that can be written")
