"""What an image classifier trains with: its module, its data and what happens around its steps."""

from pathlib import Path

import lightning
import torch

from repro import models
from repro.data.images.batches import ImageData
from repro.data.images.pictures import ImageSet
from repro.recipe.counting import per_image
from repro.recipe.images import ImageRecipe, ResNetRecipe
from repro.recipe.layout import Fit
from repro.training.callbacks.gradients import Gradients
from repro.training.callbacks.images import Averaging, ImageValidation, Statistics
from repro.training.callbacks.magnitudes import Magnitudes
from repro.training.callbacks.metrics import EVERY, Coefficients, Unit
from repro.training.callbacks.spectra import Spectra
from repro.training.callbacks.summary import Shapes
from repro.training.image_classifier import ImageClassifier


def module(recipe: ImageRecipe, *, seed: int) -> ImageClassifier:
    """The model, without weights: the strategy allocates and fills them where they will live."""
    with torch.device("meta"):
        network = models.from_recipe(recipe.model)
    return ImageClassifier(network, recipe, seed=seed)


def data(recipe: ImageRecipe, pictures: ImageSet, fit: Fit, *, seed: int) -> ImageData:
    """Batches of the images that the recipe names."""
    return ImageData(
        pictures,
        recipe.data,
        samples_per_step=recipe.budget.samples_per_step,
        micro_batch=fit.micro_batch,
        steps=recipe.steps,
        seed=seed,
    )


def unit(recipe: ImageRecipe) -> Unit:
    """What metrics count: images."""
    return Unit("samples", a_step=recipe.budget.samples_per_step, flops=per_image(recipe))


def callbacks(recipe: ImageRecipe, folder: Path) -> list[lightning.Callback]:
    """What leaves the activations, norms' statistics, averaged weights, what activations learned, what the analysis
    sees, then validation.
    """
    averaging = [Averaging(recipe.optim.ema)] if recipe.optim.ema else []
    every = recipe.validation.every * recipe.steps_per_epoch
    validation = ImageValidation(folder / "validation.npy", every=every)
    learned = Coefficients(every), Shapes(recipe.model.activation, every)
    sizes = Magnitudes(EVERY if isinstance(recipe, ResNetRecipe) else 1)  # without norms, how they grow is the result
    often = recipe.analysis.every
    analysing = [Spectra(often), Gradients(often)] if often else []
    return [sizes, Statistics(), *averaging, *learned, *analysing, validation]
