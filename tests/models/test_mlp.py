"""The multilayer control: a plain loop over its layers, with every plain activation."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from repro.activations import PolyNorm, reference
from repro.errors import RecipeError
from repro.models.init import initialise
from repro.models.mlp import FIRST_DEVIATION, MLP, mlp_from_recipe, scaled
from repro.recipe.controls import MLPModel
from repro.recipe.table import rows
from tests.helpers import assert_a_step_lowers_the_loss_as_promised

PLAIN = [name for name, row in rows().items() if not row.gated]


def network(activation, *, inputs=3 * 6 * 6, classes=7, width=20, n_layers=3, seed=0):
    model = MLP(inputs=inputs, classes=classes, width=width, n_layers=n_layers, activation=activation)
    initialise(model, seed, scaled)
    return model


def pictures(batch, size=6):
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_with_relu_it_is_torchs_own_layers_to_the_bit():
    model, x = network("relu"), pictures(5)
    with torch.no_grad():
        for layer in model.layers:
            layer.linear.bias.normal_()
    parts = [part for layer in model.layers for part in (layer.linear, nn.ReLU())]
    theirs = nn.Sequential(nn.Flatten(), *parts, model.fc)
    assert torch.equal(model(x), theirs(x))


def test_with_polynorm_it_is_a_plain_loop_over_the_reference():
    model, images = network("polynorm").double(), pictures(5).double()
    x = images.reshape(5, -1)
    for layer in model.layers:
        x = reference.polynorm(x @ layer.linear.weight.T + layer.linear.bias, layer.act.coeff)
    torch.testing.assert_close(model(images), x @ model.fc.weight.T + model.fc.bias, rtol=1e-10, atol=1e-12)


def test_images_are_flattened_alike_whatever_their_memory():
    model, x = network("polynorm"), pictures(5)
    assert torch.equal(model(x), model(x.contiguous(memory_format=torch.channels_last)))


@pytest.mark.parametrize("name", ["polynorm", "polyrelu", "silu"])
def test_gradients_are_those_of_finite_differences(name):
    model = network(name, inputs=12, classes=3, width=4, n_layers=2).double()
    first = model.layers[0].linear

    def logits(weight, bias):
        changed = {"layers.0.linear.weight": weight, "layers.0.linear.bias": bias}
        return torch.func.functional_call(model, changed, pictures(3, size=2).double())

    assert torch.autograd.gradcheck(logits, [p.detach().clone().requires_grad_() for p in (first.weight, first.bias)])


@pytest.mark.parametrize("name", PLAIN)
def test_every_plain_activation_trains_a_step(name):
    """In float64: a step down the gradient lowers the loss by what the gradient promises."""
    model, x = network(name).double(), pictures(4).double()

    def loss():
        torch.manual_seed(1)  # of the randomised ReLU
        return F.cross_entropy(model(x), torch.tensor([1, 3, 6, 0]))

    assert_a_step_lowers_the_loss_as_promised(model, loss)


def test_each_layer_has_an_activation_of_its_own_and_each_is_used():
    model, seen = network("polynorm"), []
    for name, module in model.activations().items():
        module.register_forward_hook(lambda module, inputs, y, name=name: seen.append((name, tuple(y.shape))))
    model(pictures(5))
    assert seen == [(f"layers.{i}.act", (5, 20)) for i in range(3)]
    assert len({id(module.coeff) for module in model.activations().values()}) == 3


def test_initial_weights_depend_on_seed_and_name_alone():
    one, again, two, relu = (
        network(name, seed=seed).state_dict()
        for name, seed in (("polynorm", 0), ("polynorm", 0), ("polynorm", 1), ("relu", 0))
    )
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(one[name], two[name]) for name in one if one[name].dim() == 2)
    assert all(torch.equal(one[name], relu[name]) for name in relu)


def test_weights_begin_with_the_deviations_that_are_stated_and_biases_at_zero():
    model = network("polynorm", width=64)
    gains = {"layers.0.linear": FIRST_DEVIATION, "layers.1.linear": 2**0.5, "layers.2.linear": 2**0.5, "fc": 1}
    for name, gain in gains.items():
        linear = model.get_submodule(name)
        four_errors = 4 / math.sqrt(2 * linear.weight.numel())
        assert linear.weight.std().item() == pytest.approx(gain * linear.in_features**-0.5, rel=four_errors), name
        assert not linear.bias.any()
    assert model.layers[0].act.coeff.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])


def test_a_recipe_says_what_it_is():
    built = mlp_from_recipe(MLPModel(activation="polynorm", classes=10, inputs=48, width=16, n_layers=2))
    assert built(pictures(2, size=4)).shape == (2, 10)
    assert all(isinstance(module, PolyNorm) for module in built.activations().values())
    assert len(built.layers) == 2


@pytest.mark.parametrize("name", [name for name, row in rows().items() if row.gated])
def test_a_gated_activation_is_refused_in_one_line(name):
    with pytest.raises(RecipeError, match=f"activation '{name}' must take one input") as refusal:
        network(name)
    assert "\n" not in str(refusal.value)
