"""From a recipe, a machine and prepared data to the three objects that train. The only place that knows the Trainer."""

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

import lightning
import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from repro import models
from repro.data.manifest import Prepared
from repro.data.text import TextData
from repro.recipe import Machine, Recipe, fingerprint, flops, plan
from repro.training import checkpoints
from repro.training.callbacks.guard import GradientGuard
from repro.training.callbacks.metrics import EVERY, Coefficients, Metrics
from repro.training.callbacks.saving import Interruption, Saving
from repro.training.callbacks.seeds import StepSeed
from repro.training.callbacks.validation import Validation
from repro.training.language_model import LanguageModel
from repro.training.metrics_file import MetricsFile
from repro.training.strategy import FSDP2, BareModel, filling


@dataclass(frozen=True)
class Training:
    """What ``trainer.fit`` needs, and the checkpoint to go on from."""

    trainer: lightning.Trainer
    module: LanguageModel
    data: TextData
    checkpoint: Path | None

    def fit(self) -> None:
        """Train to the end of the budget, from the newest complete checkpoint if there is one."""
        try:
            self.trainer.fit(self.module, datamodule=self.data, ckpt_path=self.checkpoint, weights_only=True)
        except SystemExit:
            raise KeyboardInterrupt from None  # what Lightning makes of a Ctrl-C before the first step


def build(
    recipe: Recipe, machine: Machine, prepared: Prepared, *, seed: int, folder: Path, loggers: list[Logger]
) -> Training:
    """Everything that trains ``recipe`` on ``machine`` and writes to ``folder``.

    Args:
        recipe: what to train.
        machine: what to train it on.
        prepared: the data set that the recipe names.
        seed: of initial weights and data order.
        folder: the run folder.
        loggers: told every logged row, beside the metrics file and TensorBoard.
    """
    _quieten()
    checkpoint = newest(folder)
    if checkpoint:
        checkpoints.refuse_other(checkpoint, fingerprint(recipe))
    fit = plan.fit(recipe, machine)
    return Training(
        trainer=_trainer(recipe, machine, fit, folder, seed=seed, loggers=[*_files(folder, checkpoint), *loggers]),
        module=_module(recipe),
        data=TextData(
            prepared,
            context=recipe.data.context,
            sequences_per_step=recipe.sequences_per_step,
            micro_batch=fit.micro_batch,
            steps=recipe.steps,
            seed=seed,
            workers=recipe.data.workers,
            validation_tokens=recipe.validation.tokens,
        ),
        checkpoint=checkpoint,
    )


def newest(folder: Path) -> Path | None:
    """The newest complete checkpoint of a run folder."""
    return next(reversed(checkpoints.complete(folder / "checkpoints")), None)


def _module(recipe: Recipe) -> LanguageModel:
    with torch.device("meta"):  # the strategy allocates and fills the weights where they will live
        decoder = models.from_recipe(recipe.model)
    warmup = -(-recipe.optim.warmup_tokens // recipe.budget.tokens_per_step)
    return LanguageModel(decoder, recipe.optim, warmup_steps=warmup, total_steps=recipe.steps)


def _trainer(
    recipe: Recipe, machine: Machine, fit: plan.Fit, folder: Path, *, seed: int, loggers: list[Logger]
) -> lightning.Trainer:
    fill = filling(seed, d_model=recipe.model.d_model, n_layers=recipe.model.n_layers)
    alone_on_cpu = machine.accelerator == "cpu" and machine.world_size == 1
    precision = recipe.precision if machine.accelerator == "cuda" else "fp32"
    return lightning.Trainer(
        strategy=BareModel(fill) if alone_on_cpu else FSDP2(fill, precision=precision),
        accelerator=machine.accelerator,
        plugins=[_processes()],
        devices=machine.devices,
        num_nodes=machine.nodes,
        precision="32-true",  # bfloat16 is the sharding policy's matter; weights stay float32
        max_steps=recipe.steps,
        max_epochs=-1,
        accumulate_grad_batches=fit.accumulation,
        deterministic=recipe.deterministic,
        callbacks=_callbacks(recipe, machine, folder, seed=seed),
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


def _processes() -> ClusterEnvironment:
    """torchrun's processes or this one alone; a scheduler's variables do not make Lightning take over its handlers."""
    return TorchElasticEnvironment() if TorchElasticEnvironment.detect() else LightningEnvironment()


def _callbacks(recipe: Recipe, machine: Machine, folder: Path, *, seed: int) -> list[lightning.Callback]:
    guard = GradientGuard(clip=recipe.optim.clip, guard=recipe.optim.guard)
    saving = Saving(folder / "checkpoints", recipe.checkpoints, recipe=fingerprint(recipe))
    peak = machine.peak_tflops * 1e12 * machine.world_size if machine.accelerator == "cuda" else None
    return [
        StepSeed(seed),
        guard,
        Metrics(
            guard,
            tokens_per_step=recipe.budget.tokens_per_step,
            flops_per_token=flops.per_token(recipe.model, recipe.data.context).causal,
            peak_flops=peak,
        ),
        Coefficients(recipe.validation.every),
        Validation(folder / "validation.npy", every=recipe.validation.every),
        saving,
        Interruption(saving),
    ]


def _files(folder: Path, checkpoint: Path | None) -> list[Logger]:
    resumed_at = checkpoints.step_of(checkpoint) if checkpoint else 0
    return [
        MetricsFile(folder / "metrics.csv", resumed_at=resumed_at),
        TensorBoardLogger(folder, name=None, version="tensorboard", purge_step=resumed_at + 1),
    ]


def _quieten() -> None:
    """Silence what Lightning says about itself; what a run has to say is said by us."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    for text in ("The `srun` command is available", ".*does not have many workers", ".*`LeafSpec`", ".*treespec"):
        warnings.filterwarnings("ignore", message=text)
