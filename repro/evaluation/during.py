"""Downstream tasks as a model trains: the paper's figures are curves."""

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning

from repro.data.manifest import Prepared
from repro.data.tasks import facts
from repro.errors import ReproError
from repro.evaluation import results
from repro.evaluation.results import Row
from repro.evaluation.subject import Subject
from repro.evaluation.tasks import harness, task_piece
from repro.evaluation.tasks.task_piece import TaskPiece
from repro.recipe import Recipe
from repro.recipe.runs import read_metrics
from repro.recipe.schema import LanguageRecipe
from repro.training import text
from repro.training.build import Data
from repro.training.callbacks import at_step
from repro.training.callbacks.metrics import log, paused
from repro.training.callbacks.saving import heed_signals
from repro.training.events import write_text
from repro.training.language_model import LanguageModel
from repro.training.validation_file import VALIDATION
from repro.training.vocabulary import Vocabulary


def callbacks(recipe: Recipe, data: Data, folder: Path) -> list[lightning.Callback]:
    """What forgets the results of an abandoned branch, and evaluates the recipe's tasks as it trains on ``data``.

    Raises:
        DataError: a task is unknown, or its items are not here.
        RunError: lm-eval is not installed.
    """
    forgets = Forgetting(folder)
    if not isinstance(recipe, LanguageRecipe) or not recipe.evaluation.tasks:
        return [forgets]
    assert isinstance(data, Prepared)
    try:
        pieces = task_piece.find(recipe.evaluation.tasks, files=None, limit=None)
    except ReproError as error:
        raise type(error)(f"{error}; or train without: evaluation.tasks=[]") from error
    return [forgets, During(recipe, Vocabulary.of_data(data), pieces, folder)]


def lacking(recipe: Recipe, folder: Path) -> str:
    """What a complete run has no results of at its last step though ``recipe`` names it, and how to get them.

    Raises:
        DataError: a task or set is unknown.
    """
    if not isinstance(recipe, LanguageRecipe):
        return ""
    text.check_sets(recipe)
    missing = {
        "sets": [name for name in text.others(recipe) if name not in _validated(recipe, folder)],
        "tasks": [name for name in facts.expanded(recipe.evaluation.tasks) if name not in _asked(recipe, folder)],
    }
    if not any(missing.values()):
        return ""
    options = " ".join(f"--{kind} {','.join(names)}" for kind, names in missing.items() if names)
    named = ", ".join(name for names in missing.values() for name in names)
    return f"no results at its end of {named}: repro eval {shlex.quote(str(folder))} {options} step={recipe.steps}"


def _validated(recipe: LanguageRecipe, folder: Path) -> set[str]:
    path = folder / VALIDATION
    during = [row["set"] for row in read_metrics(path) if int(row["step"]) == recipe.steps] if path.is_file() else []
    afterwards = [row["set"] for row in results.read(folder, "losses") if row["step"] == recipe.steps]
    return {*during, *afterwards}


def _asked(recipe: LanguageRecipe, folder: Path) -> set[str]:
    return {row["task"] for row in results.read(folder, "tasks") if row["step"] == recipe.steps}


class Forgetting(lightning.Callback):
    """Drops what was found of later steps when a run goes on from an earlier one: its weights will be others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """The run goes on from the step that was loaded."""
        if trainer.is_global_zero:
            results.forget(self.folder, after=trainer.global_step)


class During(lightning.Callback):
    """Evaluates tasks every so many steps and at the end, all ranks together, one after the other.

    Logs ``tasks/<name>``, the metric that the paper's table has, and writes what ``repro eval`` would of a checkpoint
    of the step. Training gives the same numbers with it and without. A stop waits for one task at most; the run that
    goes on evaluates the others of the step first.
    """

    def __init__(
        self, recipe: LanguageRecipe, vocabulary: Vocabulary, pieces: Sequence[TaskPiece], folder: Path
    ) -> None:
        self.recipe, self.vocabulary, self.pieces, self.folder = recipe, vocabulary, pieces, folder

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Make up for what is missing at the step that a run goes on from."""
        self._evaluate(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Evaluate if it is time."""
        if at_step(trainer, batch_idx):
            self._evaluate(trainer, pl_module)

    def _evaluate(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """What is due at this step and not done.

        Raises:
            Preempted: a signal came; what was evaluated is written, and the step saved.
        """
        step, every = trainer.global_step, self.recipe.evaluation.every or self.recipe.steps
        if step == 0 or (step % every and step != self.recipe.steps):
            return
        assert isinstance(module, LanguageModel)
        left = self._left(trainer)
        for number in left:
            heed_signals(trainer)
            self._ask(self.pieces[number], trainer, module)
        if left and trainer.is_global_zero:
            names = {piece.name for piece in self.pieces}
            rows = [row for row in results.read(self.folder, "tasks") if row["step"] == step and row["task"] in names]
            write_text(trainer, "evaluation/tasks", table(rows))

    def _left(self, trainer: lightning.Trainer) -> list[int]:
        """The numbers of the tasks without results at this step, as the first rank finds them."""
        rows = results.read(self.folder, "tasks") if trainer.is_global_zero else []
        left = [n for n, piece in enumerate(self.pieces) if not piece.is_done(rows, trainer.global_step)]
        return trainer.strategy.broadcast(left)

    def _ask(self, piece: TaskPiece, trainer: lightning.Trainer, module: LanguageModel) -> None:
        with paused(trainer, module):
            found = harness.evaluate(self._subject(module), piece.alone)
        log(trainer, {f"tasks/{result.task}": result.value for result in found})
        if trainer.is_global_zero:
            results.write_tasks(self.folder, trainer.global_step, found, device=module.device)

    def _subject(self, module: LanguageModel) -> Subject:
        data, vocabulary = self.recipe.data, self.vocabulary
        tokenizer, network = vocabulary.tokenizer, module.decoder
        return Subject(network, tokenizer, vocabulary.eos_id, data.context, data.document_mask, module.device)


def table(rows: Sequence[Row]) -> str:
    """For a reader of TensorBoard, in Markdown."""
    lines = [f"| {row['task']} | {row['metric']} | {_measured(row)} | {row['items']:,} |" for row in rows]
    return "\n".join(["| task | metric | value ± standard error | items |", "|---|---|---|---|", *lines])


def _measured(row: Row) -> str:
    value, error = (math.nan if row[name] is None else row[name] for name in ("value", "error"))
    return f"{value:.4f} ± {error:.4f}"
