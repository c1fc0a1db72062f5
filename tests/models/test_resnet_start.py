"""How a ResNet begins: its initial weights, bare and sharded, and in which memory they lie."""

from copy import deepcopy

import pytest
import torch
import torchvision
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

from repro.models import distribution, from_recipe, resnet50
from repro.models.init import initialise
from repro.models.parameters import kinds
from repro.training.sharding import Sharding, shard
from tests.models.resnets import RECIPE, filled, on_meta, pictures, small


def built(recipe):
    """At once, without the meta device."""
    model = from_recipe(recipe)
    initialise(model, 0, distribution(recipe))
    return model


def test_initial_weights_depend_on_seed_and_name_alone():
    one, again, two = (filled(RECIPE).state_dict(), built(RECIPE).state_dict(), filled(RECIPE, 1))
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
    model = filled(RECIPE) if how == "drawn by name" else from_recipe(RECIPE)
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
    model, x = small("relu", blocks=(2,), zero_init_residual=True), pictures(2, 32, 8, 8).abs()
    assert torch.equal(model.layer1[1](x), x)


@pytest.mark.parametrize("make", [resnet50, torchvision.models.resnet50])
def test_without_being_asked_norms_begin_as_torchvisions(make):
    model = make("relu") if make is resnet50 else make()
    assert model.layer1[0].bn3.weight.eq(1).all()


def convolutions(model):
    """Weights whose memory format can be told."""
    return {n: p for n, p in model.named_parameters() if p.dim() == 4 and p.shape[1] > 1 and p.shape[2:] != (1, 1)}


def test_convolutions_lie_with_their_channels_last_as_images_do():
    for model in (filled(RECIPE), deepcopy(on_meta(RECIPE)), built(RECIPE)):
        weights = convolutions(model)
        assert len(weights) == 1 + 3
        assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights.values())


@pytest.fixture
def mesh():
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    torch.distributed.destroy_process_group()


def test_a_sharded_model_starts_and_computes_as_the_bare_one(mesh):
    bare, x = filled(RECIPE), pictures(2, 3, 16, 16, memory=torch.channels_last)
    model = on_meta(RECIPE)
    shard(model, mesh, Sharding(ranks=1))
    model.to_empty(device="cpu")
    initialise(model, 0, distribution(RECIPE))
    assert len(model.activations()) == len(bare.activations())
    assert kinds(model) == kinds(bare)
    assert all(weight.to_local().is_contiguous() for weight in convolutions(model).values()), "as FSDP2 takes them"
    assert torch.equal(model(x), bare(x))
