"""What a network accepts for its activation sites, and what each mistake gets."""

import re

import pytest
import torch
from torch import nn

from repro import activations
from repro.activations import PolyNorm
from repro.errors import RecipeError
from repro.models import MLP, Recurrent, resnet50
from repro.models.sites import maker

SHARED = nn.ReLU()


@pytest.mark.parametrize(
    "activation", ["polynorm", PolyNorm, lambda: PolyNorm(order=2)], ids=["name", "class", "function"]
)
def test_each_call_makes_a_module_of_its_own(activation):
    new = maker(activation)
    first, second = new(), new()
    assert isinstance(first, PolyNorm)
    assert first.coeff is not second.coeff


@pytest.mark.parametrize(
    ("activation", "message"),
    [
        (PolyNorm(), "activation is one PolyNorm, which all sites would share; expected a name or the class itself"),
        ("polynrom", "activation 'polynrom' is not in recipes/activations.yaml. Did you mean 'polynorm'?"),
        ("swiglu", "activation 'swiglu' must take one input, as a site has; a gated one takes two"),
        (activations.PowLU, "activation PowLU must take one input, as a site has; a gated one takes two"),
        (lambda: SHARED, "activation makes the same ReLU each time; each site needs a new one"),
    ],
    ids=["instance", "unknown", "gated name", "gated class", "shared"],
)
def test_an_activation_that_cannot_stand_at_a_site_is_refused(activation, message):
    with pytest.raises(RecipeError, match=f"^{re.escape(message)}$"):
        maker(activation)


@pytest.mark.parametrize(
    "wrong",
    [3, None, torch.relu, activations.Gated, lambda: 3],
    ids=["number", "nothing", "function", "class with arguments", "maker of a number"],
)
def test_what_makes_no_module_is_refused(wrong):
    expected = "a name of the table, or a class or function that makes a module without arguments"
    with pytest.raises(RecipeError, match=f"^{re.escape(f'activation must be {expected}, got {wrong!r}')}$"):
        maker(wrong)


@pytest.mark.parametrize(
    "network",
    [
        resnet50,
        lambda activation: MLP(inputs=12, classes=2, width=4, n_layers=1, activation=activation),
        lambda activation: Recurrent(vocab_size=5, d_model=4, n_layers=1, activation=activation),
    ],
    ids=["resnet50", "mlp", "rnn"],
)
def test_every_network_with_sites_asks_here(network):
    with pytest.raises(RecipeError, match=r"^activation is one PolyNorm, which all sites would share") as refusal:
        network(PolyNorm())
    assert refusal.value.exit_code == 2
    assert "\n" not in str(refusal.value)
