"""What a language model trains with: its module, its data and what happens around its steps."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import lightning
import torch
from torch import Tensor

from repro import models
from repro.data.manifest import Prepared
from repro.data.repetition import repeats
from repro.data.text import TextData
from repro.recipe.controls import RNNRecipe
from repro.recipe.counting import per_token
from repro.recipe.families import MoERecipe
from repro.recipe.layout import Fit
from repro.recipe.schema import LanguageRecipe
from repro.training.callbacks.magnitudes import Magnitudes
from repro.training.callbacks.metrics import Coefficients, Unit
from repro.training.callbacks.routers import Routers
from repro.training.callbacks.validation import Validation
from repro.training.language_model import LanguageModel
from repro.training.routers import auxiliary


def module(recipe: LanguageRecipe, *, eos_id: int = 0) -> LanguageModel:
    """The model, without weights: the strategy allocates and fills them where they will live.

    ``eos_id`` is what ends a document of the data, and matters under ``data.document_mask`` alone; where the tokens are
    made up any will do.
    """
    with torch.device("meta"):
        decoder = models.from_recipe(recipe.model)
    schedule = recipe.optim.schedule_tokens if isinstance(recipe, MoERecipe) else recipe.budget.tokens
    return LanguageModel(
        decoder,
        recipe.optim,
        warmup_steps=_steps(recipe, recipe.optim.warmup_tokens),
        total_steps=_steps(recipe, schedule),
        auxiliary=auxiliary(recipe),
        left_out=_left_out(recipe),
        document_end=eos_id if recipe.data.document_mask else None,
    )


def data(recipe: LanguageRecipe, prepared: Prepared, fit: Fit, *, seed: int) -> TextData:
    """Batches of the prepared data set that the recipe names."""
    return TextData(
        prepared,
        context=recipe.data.context,
        sequences_per_step=recipe.sequences_per_step,
        micro_batch=fit.micro_batch,
        steps=recipe.steps,
        seed=seed,
        workers=recipe.data.workers,
        validation_tokens=recipe.validation.tokens,
        mixture=recipe.data.mixture,
    )


def unit(recipe: LanguageRecipe) -> Unit:
    """What metrics count: tokens."""
    return Unit("tokens", a_step=recipe.budget.tokens_per_step, flops=per_token(recipe).causal)


def callbacks(recipe: LanguageRecipe, folder: Path) -> list[lightning.Callback]:
    """The state of routers, or of activations that no norm follows; coefficients; then validation."""
    every = recipe.validation.every
    validation = Validation(folder / "validation.npy", every=every)
    if isinstance(recipe, MoERecipe):
        return [Routers(recipe.model.top_k), Coefficients(every), validation]
    if isinstance(recipe, RNNRecipe):
        return [Magnitudes(every=1), Coefficients(every), validation]
    return [Coefficients(every), validation]


def _left_out(recipe: LanguageRecipe) -> Callable[[Tensor], Tensor] | None:
    """The filter of a recipe's repetitions."""
    repetition = recipe.data.repetition
    return partial(repeats, period=repetition.period, times=repetition.times) if repetition else None


def _steps(recipe: LanguageRecipe, tokens: int) -> int:
    return -(-tokens // recipe.budget.tokens_per_step)
