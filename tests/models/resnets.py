"""Small ResNets for the tests, and what they see."""

import pytest
import torch

from repro.models import ResNet, distribution, from_recipe
from repro.models.init import initialise
from repro.recipe import images

FORMATS = pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last], ids=["first", "last"])
SMALL = {"blocks": (1, 1, 1, 1), "width": 8, "stem": "cifar", "classes": 5}
RECIPE = images.ResNet(
    activation="polynorm", sites="all", norm_axes="channel", zero_init_residual=True, **SMALL | {"blocks": [2, 1]}
)


def pictures(*shape, memory=torch.contiguous_format):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=memory)


def small(activation, **options):
    torch.manual_seed(0)
    return ResNet(activation, **SMALL | options)


def on_meta(recipe):
    with torch.device("meta"):
        return from_recipe(recipe)


def filled(recipe, seed=0):
    """As it is trained: without weights at first, then allocated and filled."""
    model = on_meta(recipe).to_empty(device="cpu")
    for buffer in model.buffers():
        buffer.fill_(7)
    initialise(model, seed, distribution(recipe))
    return model
