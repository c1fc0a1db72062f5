"""What autograd keeps, of mixtures and of image classifiers: the formulas of `repro plan` against measurement."""

import pytest
import torch

from repro import models
from repro.models import distribution
from repro.models.init import initialise
from repro.recipe import load
from repro.recipe.memory import activations_per_image, activations_per_token
from tests.helpers import kept_bytes

TOKENS = torch.randint(0, 4096, (2, 64), generator=torch.Generator().manual_seed(0))


def built(recipe):
    network = models.from_recipe(recipe.model)
    initialise(network, 0, distribution(recipe.model))
    return network


def kept_per_token(recipe, dtype):
    """With routers in float32, as the strategy keeps them."""
    decoder = built(recipe).to(dtype)
    for layer in decoder.layers:
        layer.mlp.gate.float()
    return kept_bytes(lambda: decoder.hidden(TOKENS)[0], apart=decoder.parameters()) / TOKENS.numel()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("activation", "override"),
    [
        ("swiglu", "qk_norm=true"),
        ("swiglu", "qk_norm=false"),
        ("relu", "qk_norm=true"),
        ("polynorm", "qk_norm=true"),
        ("polynorm", "coefficients=expert"),
        ("polyrelu", "coefficients=expert"),
    ],
)
def test_of_a_mixture_within_two_hundredths(activation, override, dtype):
    """Not in the formula: row sums, rotations and, where experts have their own, a row's coefficients."""
    recipe = load(f"moe-smoke-{activation}", ["d_ff=768", "experts=8", override])
    waiting_for_the_loss = dtype.itemsize * recipe.model.d_model
    formula = activations_per_token(recipe.model, dtype.itemsize) - waiting_for_the_loss
    assert kept_per_token(recipe, dtype) == pytest.approx(formula, rel=0.02)


def kept_per_image(recipe, images):
    """Of channels-last ``images``, as in training; without what is there once a batch, such as norms' statistics."""
    network = built(recipe).to(memory_format=torch.channels_last)
    apart = [*network.parameters(), *network.buffers()]

    def kept(n):
        return kept_bytes(lambda: network(images[:n].to(memory_format=torch.channels_last)), apart=apart)

    half = len(images) // 2
    return (kept(len(images)) - kept(half)) / half


def image_recipe(name, size, *overrides):
    return load(name, [f"data.{key}={size}" for key in ("size", "test_size", "test_resize")] + list(overrides))


@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
@pytest.mark.parametrize(
    ("activation", "sites"), [("relu", "all"), ("gelu", "all"), ("polynorm", "all"), ("polynorm", "inner")]
)
def test_of_a_resnet_to_the_byte(activation, sites, stem):
    size = 45  # odd, and so are some of its halves
    recipe = image_recipe(f"resnet50-smoke-{activation}", size, f"sites={sites}", f"stem={stem}", "blocks=[1, 2, 1]")
    images = torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(0))
    assert kept_per_image(recipe, images) == activations_per_image(recipe, 4)


@pytest.mark.parametrize("activation", ["relu", "polynorm", "gelu"])
def test_of_a_perceptron_to_the_byte(activation):
    recipe = load(f"mlp-smoke-{activation}")
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert kept_per_image(recipe, images) == activations_per_image(recipe, 4)
