"""ResNets: torchvision's function with ReLU, and every plain activation at sites of its own."""

import re

import pytest
import torch
import torchvision
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from repro import activations, kernels
from repro.activations import PolyNorm, PolyReLU, reference
from repro.errors import RecipeError
from repro.models import ResNet, classifier_from_recipe, distribution, resnet50
from repro.models.init import initialise
from repro.models.parameters import kinds
from repro.models.resnet import AXES
from repro.recipe import images
from repro.recipe.table import rows
from tests.helpers import assert_a_step_lowers_the_loss_as_promised, assert_sum_within_budget, assert_within_budget

SHARED = nn.ReLU()
PLAIN = [name for name, row in rows().items() if not row.gated]
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


# What an activation that normalises sees


def reference_over(axes, x, coeff):
    """The definition, with the axes that make a row moved last and made one."""
    last = {"channel": (1,), "width": (3,), "chw": (1, 2, 3), "hw": (2, 3)}[axes]
    order = [d for d in range(4) if d not in last] + list(last)
    moved = x.permute(order)
    y = reference.polynorm(moved.flatten(4 - len(last)), coeff).view(moved.shape)
    return y.permute([order.index(d) for d in range(4)])


@FORMATS
@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_polynorm_over_any_axes_is_the_reference_over_them(axes, memory, dtype):
    x, dy = (scale * pictures(3, 20, 5, 7, memory=memory).to(dtype) for scale in (1.5, 1))
    module = PolyNorm()
    with torch.no_grad():
        module.coeff.copy_(torch.tensor([0.1, 0.5, -0.2, 0.4]))

    def results(function, x, coeff, dy):
        x, coeff = x.detach().requires_grad_(), coeff.detach().requires_grad_()
        y = function(x, coeff)
        return y.detach(), *torch.autograd.grad(y, (x, coeff), dy)

    def ours(x, coeff):
        return AXES[axes](lambda rows: torch.func.functional_call(module, {"coeff": coeff}, rows), x)

    def plain(x, coeff):
        return reference_over(axes, x, coeff)

    got, eager = results(ours, x, module.coeff, dy), results(plain, x, module.coeff, dy)
    truth = results(plain, x.double(), module.coeff.double(), dy.double())
    assert got[0].shape == got[1].shape == x.shape
    for y, of_eager, of_truth in zip(got[:2], eager, truth, strict=False):
        assert_within_budget(y, of_eager, of_truth)
    terms = (dy.double() * (AXES[axes](lambda rows: powers_over_norms(rows, 1e-6), x.double().abs()))).abs()
    assert_sum_within_budget(got[2], truth[2], terms.sum())


def powers_over_norms(rows, eps):
    """No term of a coefficient's gradient is larger than ``dy`` times this."""
    return sum(rows**i / (rows ** (2 * i)).mean(-1, keepdim=True).add(eps).sqrt() for i in range(1, 4)) + 1


def test_the_kernel_gets_channels_last_memory_as_rows_without_a_copy(monkeypatch):
    seen, kernel = [], kernels.polynorm
    monkeypatch.setattr(kernels, "polynorm", lambda x, *args: seen.append(x) or kernel(x, *args))
    x = pictures(2, 24, 6, 5, memory=torch.channels_last)
    y = AXES["channel"](PolyNorm(), x)
    assert seen[0].data_ptr() == x.data_ptr()
    assert seen[0].shape == (2, 6, 5, 24)
    assert seen[0].is_contiguous()
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["polynorm", "polyrelu", "relu"])
def test_every_site_of_a_channels_last_model_is_contiguous_forward_and_backward(name):
    model = small(name).to(memory_format=torch.channels_last)
    seen, gradients = [], []

    def look(module, inputs, output):
        seen.append((inputs[0].is_contiguous(), output.is_contiguous(), inputs[0].shape[-1]))
        output.register_hook(lambda dy: gradients.append(dy.is_contiguous()))

    for module in model.activations().values():
        module.register_forward_hook(look)
    model(pictures(2, 3, 32, 32, memory=torch.channels_last)).sum().backward()
    channels = [8] + [c for width in (8, 16, 32, 64) for c in (width, width, 4 * width)]
    assert seen == [(True, True, c) for c in channels]
    assert gradients == [False] + [True] * (
        len(channels) - 1
    )  # the pooling before the classifier spreads its own as NCHW


@pytest.mark.parametrize("axes", AXES)
def test_axes_are_those_of_the_whole_model(axes):
    model, seen = small("polynorm", norm_axes=axes), []
    for module in model.activations().values():
        module.register_forward_hook(lambda module, inputs, output: seen.append(tuple(inputs[0].shape[1:])))
    model(pictures(2, 3, 16, 8))
    first, last = {
        "channel": ((16, 8, 8), (2, 1, 256)),
        "width": ((8, 16, 8), (256, 2, 1)),
        "chw": ((8 * 16 * 8,), (256 * 2 * 1,)),
        "hw": ((8, 16 * 8), (256, 2 * 1)),
    }[axes]
    assert (seen[0], seen[-1]) == (first, last)


@FORMATS
@pytest.mark.parametrize("axes", AXES)
def test_what_does_not_normalise_is_the_same_over_any_axes(axes, memory):
    x, module = pictures(2, 3, 16, 16, memory=memory), PolyReLU()
    assert torch.equal(AXES[axes](module, x), module(x))


# The beginning


def filled(recipe, seed=0, device="meta"):
    with torch.device(device):
        model = classifier_from_recipe(recipe)
    if device == "meta":
        model.to_empty(device="cpu")
        for buffer in model.buffers():
            buffer.fill_(7)
    initialise(model, seed, distribution(recipe))
    return model


def test_initial_weights_depend_on_seed_and_name_alone():
    one, again, two = (filled(RECIPE).state_dict(), filled(RECIPE, device="cpu").state_dict(), filled(RECIPE, 1))
    assert all(torch.equal(one[name], again[name]) for name in one)
    convolved = [name for name, p in two.named_parameters() if p.dim() > 1 or name == "fc.bias"]
    assert len(convolved) == 1 + 3 * 3 + 2 + 2
    assert not any(torch.equal(one[name], two.state_dict()[name]) for name in convolved)
    assert not torch.equal(one["layer1.0.conv2.weight"], one["layer1.1.conv2.weight"])


def test_arms_start_from_the_same_weights():
    relu, polynorm = (
        filled(RECIPE.model_copy(update={"activation": name})).state_dict() for name in ("relu", "polynorm")
    )
    assert all(torch.equal(relu[name], polynorm[name]) for name in relu)


@pytest.mark.parametrize("how", ["drawn by name", "by the constructor"])
def test_initial_weights_have_torchvisions_deviations(how):
    torch.manual_seed(0)
    model = filled(RECIPE) if how == "drawn by name" else classifier_from_recipe(RECIPE)
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            deviation = (2 / (module.out_channels * module.kernel_size[0] ** 2)) ** 0.5
            four_errors = 4 / (2 * module.weight.numel()) ** 0.5
            assert module.weight.std().item() == pytest.approx(deviation, rel=four_errors), name
    bound = model.fc.in_features**-0.5
    assert 0.9 * bound < model.fc.weight.abs().max() <= bound
    assert 0 < model.fc.bias.abs().max() <= bound


@pytest.mark.parametrize("zero", [True, False])
def test_norms_begin_at_one_and_zero_with_statistics_of_nothing(zero):
    model = filled(RECIPE.model_copy(update={"zero_init_residual": zero}))
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.weight.eq(0 if zero and name.endswith("bn3") else 1).all(), name
            assert module.bias.eq(0).all()
            assert module.running_mean.eq(0).all()
            assert module.running_var.eq(1).all()
            assert module.num_batches_tracked == 0
    assert model.layer2[0].act3.coeff.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])


def test_a_block_begins_as_the_identity():
    model, x = small("relu", blocks=(2,)), pictures(2, 32, 8, 8).abs()
    assert torch.equal(model.layer1[1](x), x)


@pytest.fixture
def mesh():
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    torch.distributed.destroy_process_group()


def test_a_sharded_model_starts_and_computes_as_the_bare_one(mesh):
    bare, x = filled(RECIPE), pictures(2, 3, 16, 16)
    with torch.device("meta"):
        model = classifier_from_recipe(RECIPE)
    for activation in model.activations().values():
        fully_shard(activation, mesh=mesh)
    fully_shard(model, mesh=mesh)
    model.to_empty(device="cpu")
    initialise(model, 0, distribution(RECIPE))
    assert len(model.activations()) == len(bare.activations())
    assert kinds(model) == kinds(bare)
    assert torch.equal(model(x), bare(x))


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
    ("activation", "message"),
    [
        (PolyNorm(), "activation is one PolyNorm, which all sites would share; expected a name or the class itself"),
        ("polynrom", "activation 'polynrom' is not in recipes/activations.yaml. Did you mean 'polynorm'?"),
        ("swiglu", "activation 'swiglu' must take one input, as the sites of a ResNet have; a gated one takes two"),
        (
            activations.PowLU,
            "activation PowLU must take one input, as the sites of a ResNet have; a gated one takes two",
        ),
        (lambda: SHARED, "activation makes the same ReLU each time; each site needs a new one"),
    ],
    ids=["instance", "unknown", "gated name", "gated class", "shared"],
)
def test_an_activation_that_cannot_stand_at_a_site_is_refused(activation, message):
    with pytest.raises(RecipeError, match=f"^{re.escape(message)}$"):
        resnet50(activation)


@pytest.mark.parametrize(
    "wrong",
    [3, None, torch.relu, activations.Gated, lambda: 3],
    ids=["number", "nothing", "function", "class with arguments", "maker of a number"],
)
def test_what_makes_no_module_is_refused(wrong):
    expected = "a name of the table, or a class or function that makes a module without arguments"
    with pytest.raises(RecipeError, match=f"^{re.escape(f'activation must be {expected}, got {wrong!r}')}$"):
        resnet50(wrong)


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
