"""Small decoders with drawn weights, and tokens for them."""

import torch

from repro import models
from repro.models import distribution
from repro.models.init import initialise
from repro.recipe import load
from tests.conftest import EXPERTS, SMALL


def decoder(activation="polynorm", family="dense", **changes):
    settings = SMALL | (EXPERTS if family == "moe" else {}) | changes
    model = load(f"{family}-smoke-{activation}", [f"{key}={value}" for key, value in settings.items()]).model
    network = models.from_recipe(model)
    initialise(network, 0, distribution(model))
    return network.requires_grad_(False).eval()


def tokens(windows=3, context=16):
    return torch.randint(512, (windows, context), generator=torch.Generator().manual_seed(1))
