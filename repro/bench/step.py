"""What a training step costs, and how much of it is the trainer's own."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning
import torch

from repro import models
from repro.bench.rows import Figure
from repro.data.manifest import Prepared
from repro.data.text import TextData
from repro.models import distribution
from repro.models.init import initialise
from repro.recipe import LanguageRecipe, Machine, load
from repro.training.build import build
from repro.training.language_model import LanguageModel

STEPS, WARM_UP = 200, 20


def measure(machine: Machine, prepared: Prepared, *, rounds: int = 5) -> Iterator[Figure]:
    """Milliseconds a step of the smoke model on a CPU: a bare loop, and the trainer with its callbacks and loggers.

    Both do the same arithmetic on the same batches and take turns, so that a machine that slows down slows both.
    """
    recipe = load("dense-smoke-polynorm", [f"budget.tokens={STEPS * 1024}"])
    assert isinstance(recipe, LanguageRecipe)
    # Freeing 32 MB has glibc keep what a step frees; before that a step pays for its pages again and again.
    torch.zeros(2**23)
    bare, trained = [], []
    for _ in range(rounds):
        bare.append(_bare(recipe, prepared))
        trained.append(_trained(recipe, machine, prepared))
    yield Figure(f"{recipe.name}, bare loop", statistics.median(bare), "ms a step")
    yield Figure(f"{recipe.name}, trainer with loggers", statistics.median(trained), "ms a step")
    overheads = [after - before for before, after in zip(bare, trained, strict=True)]
    yield Figure(f"{recipe.name}, trainer's overhead", statistics.median(overheads), "ms a step")


def _bare(recipe: LanguageRecipe, prepared: Prepared) -> float:
    decoder = models.from_recipe(recipe.model)
    initialise(decoder, 0, distribution(recipe.model))
    module = LanguageModel(decoder, recipe.optim, warmup_steps=STEPS // 10, total_steps=STEPS)
    configured: Any = module.configure_optimizers()
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    ends = []
    for batch in _batches(recipe, prepared):
        module.training_step(batch)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), recipe.optim.clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        ends.append(time.perf_counter())
    return _step(ends)


def _batches(recipe: LanguageRecipe, prepared: Prepared) -> Any:
    data = TextData(
        prepared,
        context=recipe.data.context,
        sequences_per_step=recipe.sequences_per_step,
        micro_batch=recipe.sequences_per_step,
        steps=STEPS,
        seed=0,
        workers=recipe.data.workers,
        validation_tokens=recipe.validation.tokens,
    )
    return data.train_dataloader()


class _Clock(lightning.Callback):
    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        self.ends.append(time.perf_counter())


def _trained(recipe: LanguageRecipe, machine: Machine, prepared: Prepared) -> float:
    clock = _Clock()
    with tempfile.TemporaryDirectory() as folder:
        training = build(recipe, machine, prepared, seed=0, folder=Path(folder), loggers=[])
        training.trainer.callbacks.append(clock)  # type: ignore[attr-defined]
        training.fit()
    return _step(clock.ends)


def _step(ends: list[float]) -> float:
    """Milliseconds of the faster steps, a tenth from the fastest: what others do on the machine slows the rest."""
    gaps = [after - before for before, after in zip(ends[WARM_UP:], ends[WARM_UP + 1 :], strict=False)]
    return 1000 * statistics.quantiles(gaps, n=10)[0]
