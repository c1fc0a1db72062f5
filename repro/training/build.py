"""From a recipe, a machine and its data to the three objects that train. The only place that knows the Trainer."""

import logging
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning
from lightning.pytorch.loggers import Logger
from lightning.pytorch.loops.fit_loop import _FitLoop
from lightning.pytorch.strategies import Strategy

from repro import models
from repro.data.images.pictures import ImageSet
from repro.data.loader import killed_workers_told
from repro.data.manifest import Prepared
from repro.data.text import TextData
from repro.recipe import Machine, Recipe, fingerprint, layout
from repro.recipe.images import ImageRecipe
from repro.recipe.layout import Fit
from repro.recipe.schema import LanguageRecipe
from repro.training import checkpoints, pictures, resuming, text
from repro.training.callbacks.guard import GradientGuard
from repro.training.callbacks.metrics import EVERY, Metrics, Unit
from repro.training.callbacks.saving import Interruption, Saving
from repro.training.callbacks.seeds import StepSeed
from repro.training.callbacks.summary import HyperParameters
from repro.training.events import EventsFile
from repro.training.magnitudes_file import MagnitudesFile
from repro.training.metrics_file import MetricsFile
from repro.training.ranks import environment
from repro.training.replicated import Replicated
from repro.training.sharding import Sharding
from repro.training.strategy import FSDP2, BareModel, filling
from repro.training.validation_file import VALIDATION, ValidationFile

Data = Prepared | ImageSet


@dataclass(frozen=True)
class Training:
    """What ``trainer.fit`` needs, and the checkpoint to go on from."""

    trainer: lightning.Trainer
    module: lightning.LightningModule
    data: lightning.LightningDataModule
    checkpoint: Path | None

    def fit(self) -> None:
        """Train to the end of the budget, from the newest complete checkpoint if there is one."""
        try:
            with killed_workers_told():
                self.trainer.fit(self.module, datamodule=self.data, ckpt_path=self.checkpoint, weights_only=True)
        except SystemExit:
            raise KeyboardInterrupt from None  # what Lightning makes of a Ctrl-C before the first step


def build(
    recipe: Recipe,
    machine: Machine,
    data: Data,
    *,
    seed: int,
    folder: Path,
    loggers: Sequence[Logger] = (),
    evaluating: Sequence[lightning.Callback] = (),
) -> Training:
    """Everything that trains ``recipe`` on ``machine`` and writes to ``folder``.

    Args:
        recipe: what to train.
        machine: what to train it on.
        data: the prepared tokens or the images that the recipe names.
        seed: of initial weights and data order.
        folder: the run folder.
        loggers: told every logged row, beside the metrics file and TensorBoard.
        evaluating: what else is to be done with the model after a step, once it is validated and, if due, saved.
    """
    _quieten()
    checkpoint = resuming.of_all(folder)
    if checkpoint:
        checkpoints.refuse_other(checkpoint, fingerprint(recipe))
    fit = layout.fit(recipe, machine)
    parts = _parts(recipe, data, fit, folder, seed=seed)
    callbacks = _callbacks(recipe, machine, parts, evaluating, folder, seed=seed)
    files = _files(recipe, parts.data, folder, checkpoint)
    trainer = _trainer(recipe, machine, fit, folder, seed=seed, callbacks=callbacks, loggers=[*files, *loggers])
    return Training(trainer, parts.module, parts.data, checkpoint)


@dataclass(frozen=True)
class Parts:
    """What depends on whether tokens or images are trained on."""

    module: lightning.LightningModule
    data: lightning.LightningDataModule
    guard: GradientGuard
    unit: Unit
    callbacks: list[lightning.Callback]


def _parts(recipe: Recipe, data: Data, fit: Fit, folder: Path, *, seed: int) -> Parts:
    if isinstance(recipe, ImageRecipe):
        assert isinstance(data, ImageSet)
        guard = GradientGuard(clip=recipe.optim.clip or math.inf, guard=recipe.optim.guard)
        module, batches = pictures.module(recipe, seed=seed), pictures.data(recipe, data, fit, seed=seed)
        return Parts(module, batches, guard, pictures.unit(recipe), pictures.callbacks(recipe, folder))
    assert isinstance(recipe, LanguageRecipe)
    assert isinstance(data, Prepared)
    guard = GradientGuard(clip=recipe.optim.clip, guard=recipe.optim.guard)
    model, tokens = text.module(recipe, eos_id=data.manifest.eos_id), text.data(recipe, data, fit, seed=seed)
    return Parts(model, tokens, guard, text.unit(recipe), text.callbacks(recipe, folder))


def _trainer(
    recipe: Recipe,
    machine: Machine,
    fit: Fit,
    folder: Path,
    *,
    seed: int,
    callbacks: list[lightning.Callback],
    loggers: list[Logger],
) -> lightning.Trainer:
    trainer = lightning.Trainer(
        strategy=_strategy(recipe, machine, fit, seed=seed),
        accelerator=machine.accelerator,
        plugins=[environment()],
        devices=machine.devices,
        num_nodes=machine.nodes,
        precision="32-true",  # bfloat16 is the sharding policy's or the module's matter; weights stay float32
        max_steps=recipe.steps,
        max_epochs=-1,
        accumulate_grad_batches=fit.accumulation,
        deterministic=recipe.deterministic,
        callbacks=callbacks,
        logger=loggers,
        log_every_n_steps=min(EVERY, recipe.steps),
        default_root_dir=folder,
        limit_val_batches=0,  # callbacks.validation evaluates
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_checkpointing=False,  # callbacks.saving saves
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit_loop, steps = Loop(trainer, max_epochs=-1), trainer.fit_loop.epoch_loop
    trainer.fit_loop.epoch_loop = steps
    return trainer


class Loop(_FitLoop):
    """Begins and ends also where a run goes on from its last step: its evaluation may have been stopped."""

    @property
    def skip(self) -> bool:
        """Never; of a run that has taken all its steps none is taken."""
        return False


def _strategy(recipe: Recipe, machine: Machine, fit: Fit, *, seed: int) -> Strategy:
    fill = filling(seed, models.distribution(recipe.model))
    if how := sharding(recipe, machine, fit):
        return FSDP2(fill, how)
    return BareModel(fill) if machine.one_processor else Replicated(fill)


def sharding(recipe: Recipe, machine: Machine, fit: Fit) -> Sharding | None:
    """How FSDP2 shares the model out; None where it lies whole on each device."""
    if not layout.shares_out(recipe, machine):
        return None
    autocast = isinstance(recipe, ImageRecipe)  # weights stay in float32, for the sake of the norms
    return Sharding(
        ranks=fit.shard,
        precision="fp32" if autocast or machine.accelerator == "cpu" else recipe.precision,
        recompute=fit.recompute,
        reduce_each=fit.reduce_each,
        reshard=fit.reshard,
        compile=recipe.layout.compile,
    )


def _callbacks(
    recipe: Recipe,
    machine: Machine,
    parts: Parts,
    evaluating: Sequence[lightning.Callback],
    folder: Path,
    *,
    seed: int,
) -> list[lightning.Callback]:
    saving = Saving(folder / "checkpoints", recipe.checkpoints, recipe=fingerprint(recipe))
    peak = machine.peak_tflops * 1e12 * machine.world_size if machine.accelerator == "cuda" else None
    return [
        StepSeed(seed),
        parts.guard,
        Metrics(parts.guard, unit=parts.unit, peak_flops=peak),
        *parts.callbacks,
        HyperParameters(recipe, seed),
        saving,
        Interruption(saving),
        *evaluating,
    ]


def _files(recipe: Recipe, data: lightning.LightningDataModule, folder: Path, checkpoint: Path | None) -> list[Logger]:
    resumed_at = checkpoints.step_of(checkpoint) if checkpoint else 0
    files: list[Logger] = [
        MetricsFile(folder / "metrics.csv", resumed_at=resumed_at),
        MagnitudesFile(folder / "magnitudes.csv", resumed_at=resumed_at),
        EventsFile(folder, resumed_at=resumed_at),
    ]
    if isinstance(recipe, LanguageRecipe) and isinstance(data, TextData):
        a_step, path = recipe.budget.tokens_per_step, folder / VALIDATION
        files += [ValidationFile(path, resumed_at=resumed_at, samples=data.samples, tokens_per_step=a_step)]
    return files


def _quieten() -> None:
    """Silence what Lightning and DDP say about themselves; what a run has to say is said by us."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    lightnings = ("The `srun` command is available", ".*does not have many workers", ".*`LeafSpec`", ".*treespec")
    # torch 2.15 has another word for it, which 2.11 does not know. A 1 x 1 convolution of channels-last images gives a
    # gradient that differs from its weight in the strides of dimensions of one number, which cost nothing.
    ddps = ("`broadcast_buffers` is deprecated", "Grad strides do not match bucket view strides")
    for said in (*lightnings, *ddps):
        warnings.filterwarnings("ignore", message=said)
