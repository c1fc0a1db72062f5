"""What a language model trains with: its module, its data and what happens around its steps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import lightning
import torch
from torch import Tensor

from repro import models
from repro.data import sets
from repro.data.manifest import TOKENIZER, Prepared
from repro.data.repetition import repeats
from repro.data.text import TextData
from repro.errors import DataError
from repro.recipe.controls import RNNRecipe
from repro.recipe.counting import per_token
from repro.recipe.families import MoERecipe
from repro.recipe.layout import Fit
from repro.recipe.lists import HELD_OUT
from repro.recipe.schema import LanguageRecipe
from repro.training.callbacks.gradients import Gradients
from repro.training.callbacks.magnitudes import Magnitudes
from repro.training.callbacks.metrics import Coefficients, Unit
from repro.training.callbacks.rank_penalty import RankPenalty
from repro.training.callbacks.routers import Routers
from repro.training.callbacks.sets import Sets
from repro.training.callbacks.spectra import Spectra
from repro.training.callbacks.states import States
from repro.training.callbacks.summary import Shapes
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
    """Batches of the prepared data set that the recipe names, and of the other sets that it is validated on.

    Raises:
        DataError: one of these is not prepared with the tokenizer of the first, or something is too short.
    """
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
        others=_found(recipe, prepared),
    )


def check_sets(recipe: LanguageRecipe) -> None:
    """Refuse validation sets that nobody knows, before data are prepared.

    Raises:
        DataError: there is no such set.
    """
    for name in others(recipe):
        with _or_without():
            sets.check_name(name)


def _found(recipe: LanguageRecipe, prepared: Prepared) -> dict[str, Prepared]:
    with _or_without():
        return {name: sets.find(name, tokenizer=prepared.folder / TOKENIZER) for name in others(recipe)}


@contextmanager
def _or_without() -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise DataError(f"{error}; or train without it: validation.sets=[{HELD_OUT}]") from error


def others(recipe: LanguageRecipe) -> list[str]:
    """The sets that a run is validated on beside its own."""
    return [name for name in recipe.validation.sets if name != HELD_OUT]


def unit(recipe: LanguageRecipe) -> Unit:
    """What metrics count: tokens."""
    return Unit("tokens", a_step=recipe.budget.tokens_per_step, flops=per_token(recipe).causal)


def callbacks(recipe: LanguageRecipe, folder: Path) -> list[lightning.Callback]:
    """What is added to the gradient; the state of routers, or of activations that no norm follows; what activations
    learned; what the analysis sees; then validation.
    """
    every, found = recipe.validation.every, list[lightning.Callback]()
    if recipe.optim.rank_penalty:
        found += [RankPenalty(recipe.optim.rank_penalty)]
    if isinstance(recipe, MoERecipe):
        found += [Routers(recipe.model.top_k)]
    if isinstance(recipe, RNNRecipe):
        found += [Magnitudes(every=1)]
    found += [Coefficients(every), Shapes(recipe.model.activation, every)]
    if often := recipe.analysis.every:
        found += [Spectra(often), States(often), Gradients(often)]
    if HELD_OUT in recipe.validation.sets:
        found += [Validation(folder / "validation.npy", every=every)]
    return [*found, Sets(every)] if others(recipe) else found


def _left_out(recipe: LanguageRecipe) -> Callable[[Tensor], Tensor] | None:
    """The filter of a recipe's repetitions."""
    repetition = recipe.data.repetition
    return partial(repeats, period=repetition.period, times=repetition.times) if repetition else None


def _steps(recipe: LanguageRecipe, tokens: int) -> int:
    return -(-tokens // recipe.budget.tokens_per_step)
