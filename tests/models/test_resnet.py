"""ResNets: torchvision's function with ReLU, and every plain activation at sites of its own."""

import re

import pytest
import torch
import torchvision
from torch import nn

from repro.activations import PolyNorm
from repro.errors import RecipeError
from repro.models import ResNet, resnet50
from repro.models.parameters import kinds
from repro.recipe.table import rows
from tests.helpers import assert_a_step_lowers_the_loss_as_promised
from tests.models.resnets import FORMATS, pictures, small

PLAIN = [name for name, row in rows().items() if not row.gated]


def on_meta(activation, **options):
    with torch.device("meta"):
        return resnet50(activation, **options)


# torchvision's


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    model = torchvision.models.resnet50(num_classes=10)
    with torch.no_grad():  # statistics and scales that a norm's place can be told by
        for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
            for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                tensor.add_(torch.rand_like(tensor) / 4)
    return model


def as_theirs(theirs):
    ours = resnet50("relu", classes=10)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours


@FORMATS
def test_with_relu_it_is_torchvisions_function_to_the_bit_in_evaluation(theirs, memory):
    ours, x = as_theirs(theirs).eval(), pictures(2, 3, 64, 64, memory=memory)
    with torch.no_grad():
        assert torch.equal(ours(x), theirs.eval()(x))


@FORMATS
def test_with_relu_it_is_torchvisions_function_to_the_bit_in_training_and_its_gradients_agree(theirs, memory):
    ours, x = as_theirs(theirs), pictures(2, 3, 64, 64, memory=memory)
    theirs.train().load_state_dict(ours.state_dict())
    theirs.zero_grad()
    y, expected = ours(x), theirs(x)
    assert torch.equal(y, expected)
    for logits in (y, expected):
        logits.square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in ours.named_parameters()}
    for name, parameter in theirs.named_parameters():
        assert (gradients[name] - parameter.grad).norm() <= 1e-6 * parameter.grad.norm(), name
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in ours.state_dict().items())  # statistics


def test_torchvisions_weights_are_all_of_polynorms_but_the_coefficients():
    ours = on_meta("polynorm").state_dict()
    with torch.device("meta"):
        theirs = torchvision.models.resnet50().state_dict()
    assert {name: value.shape for name, value in ours.items() if not re.search(r"\bact\d\.", name)} == {
        name: value.shape for name, value in theirs.items()
    }
    extra = set(ours) - set(theirs)
    assert len(extra) == 49
    assert {"act1.coeff", "layer1.0.act1.coeff", "layer4.2.act3.coeff"} <= extra


# Sites


@pytest.mark.parametrize(("sites", "taken"), [("all", 49), ("inner", 33)])
def test_each_site_has_an_activation_of_its_own(sites, taken):
    there = on_meta("polynorm", sites=sites).activations()
    assert len(there) == len({id(module) for module in there.values()}) == 49
    assert sum(isinstance(module, PolyNorm) for module in there.values()) == taken
    others = {name for name, module in there.items() if not isinstance(module, PolyNorm)}
    assert all(name.endswith("act3") and type(there[name]) is nn.ReLU for name in others)


def test_every_site_is_used():
    model, seen = small("silu"), []
    for name, module in model.activations().items():
        module.register_forward_hook(lambda module, inputs, output, name=name: seen.append(name))
    model(pictures(2, 3, 32, 32))
    assert seen == list(model.activations())


def test_a_factory_does_what_the_name_does():
    x = pictures(2, 3, 16, 16)
    assert torch.equal(small("polynorm")(x), small(PolyNorm)(x))
    assert torch.equal(small("polynorm_l2")(x), small(lambda: PolyNorm(norm="l2"))(x))


@pytest.mark.parametrize("name", PLAIN)
def test_every_plain_activation_trains(name):
    """A step down the gradient lowers the loss by what the gradient promises, in float64: cubes of cubes are steep."""
    model, x = small(name, zero_init_residual=False).double(), pictures(2, 3, 32, 32).double()

    def loss():
        torch.manual_seed(1)  # of the randomised ReLU
        return nn.functional.cross_entropy(model(x), torch.tensor([1, 3]))

    assert_a_step_lowers_the_loss_as_promised(model, loss)


# Kinds of parameters


def test_each_parameter_has_a_kind():
    kind = kinds(small("polynorm"))
    assert {name for name, of in kind.items() if of == "norms"} == {
        name for name in kind if re.search(r"bn\d\.|downsample\.1\.", name)
    }
    assert {name for name, of in kind.items() if of == "coefficients"} == {name for name in kind if "act" in name}
    assert kind["conv1.weight"] == kind["layer1.0.downsample.0.weight"] == "matrices"
    assert kind["fc.weight"] == kind["fc.bias"] == "matrices"


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"norm_axes": "channels"},
            "norm_axes must be one of channel, width, chw, hw, got 'channels'. Did you mean 'channel'?",
        ),
        ({"sites": "some"}, "sites must be one of all, inner, got 'some'."),
    ],
)
def test_an_option_that_there_is_not_is_refused(options, message):
    with pytest.raises(RecipeError, match=f"^{re.escape(message)}$"):
        resnet50("relu", **options)


def test_a_stem_that_there_is_not_is_refused():
    with pytest.raises(
        RecipeError, match=re.escape("stem must be one of imagenet, cifar, got 'cifar10'. Did you mean 'cifar'?")
    ):
        ResNet("relu", stem="cifar10")
