"""The sizes that a mixture's recipe admits are those that torch's grouped product takes in bfloat16."""

import pytest
import torch
from torch import nn

from repro import activations
from repro.errors import RecipeError
from repro.models.moe import Experts
from repro.recipe import load


def trains(activation, d_model, width):
    """Whether experts of this size have an output and gradients."""
    experts = Experts(4, d_model, width, activations.build(activation), gated=activation == "swiglu").bfloat16()
    for parameter in experts.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(24, d_model, dtype=torch.bfloat16, requires_grad=True)
    try:
        experts(x, torch.tensor([8, 8, 20, 24], dtype=torch.int32)).square().sum().backward()
    except RuntimeError as error:
        assert "multiple of 16 bytes" in str(error)  # noqa: PT017 (whether it is raised is what is asked)
        return False
    return x.grad is not None


def admitted(activation, d_model, width):
    d_ff = 3 * width // 2 if activation == "swiglu" else width
    try:
        load(f"moe-smoke-{activation}", [f"d_model={d_model}", f"d_ff={d_ff}"])
    except RecipeError:
        return False
    return True


@pytest.mark.parametrize("activation", ["relu", "swiglu"])
@pytest.mark.parametrize("d_model", [64, 72, 68, 66])
@pytest.mark.parametrize("width", [64, 72, 68, 66])
def test_a_recipe_admits_what_the_grouped_product_takes_and_nothing_else(activation, d_model, width):
    assert admitted(activation, d_model, width) == trains(activation, d_model, width)
