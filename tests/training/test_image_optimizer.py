"""Optimizers of image classifiers: who decays, at which rate, and what is said where timm is absent."""

import math
import sys

import pytest
import torch

from repro.errors import RunError
from repro.models.resnet import ResNet
from repro.recipe.images import ImageOptim
from repro.training.image_optimizer import optimizer, schedule

EPOCH = 10  # steps


def optim(**changes):
    values = {
        "optimizer": "sgd",
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 0.01,
        "schedule": "cosine",
        "warmup_epochs": 2,
        "clip": None,
        "loss": "cross-entropy",
        "label_smoothing": 0.0,
        "ema": 0.0,
        "guard": {"spike": 100.0, "patience": 10},
    }
    return ImageOptim.model_validate(values | changes)


def rates(epochs, **changes):
    fraction = schedule(optim(**changes), epochs=epochs, steps_per_epoch=EPOCH)
    return [fraction(step) for step in range(epochs * EPOCH + 1)]


@pytest.mark.parametrize("name", ["sgd", "lamb", "adamw"])
def test_convolutions_and_the_classifier_decay_and_nothing_else_does(name):
    network = ResNet("polynorm", blocks=(1, 1), width=4, classes=3)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    chosen = optimizer(network, optim(optimizer=name))
    decay = {names[id(p)]: group["weight_decay"] for group in chosen.param_groups for p in group["params"]}
    assert len(decay) == len(names) == sum(len(group["params"]) for group in chosen.param_groups)
    decaying = {name for name, value in decay.items() if value == 0.01}
    assert {name for name in names.values() if "conv" in name or ".downsample.0." in name} | {
        "fc.weight",
        "fc.bias",
    } == decaying
    assert {decay[name] for name in ("bn1.weight", "layer1.0.bn3.bias", "layer2.0.act3.coeff")} == {0.0}


def test_sgd_is_torchvisions_without_nesterovs_step():
    weight = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(weight.weight, 2)
    sgd = optimizer(weight, optim(weight_decay=0.5, momentum=0.5))
    expected, velocity = 2.0, 0.0
    for gradient in (1.0, -3.0, 0.5):
        weight.weight.grad = torch.tensor([[gradient]])
        sgd.step()
        velocity = 0.5 * velocity + gradient + 0.5 * expected
        expected -= 0.1 * velocity
    assert weight.weight.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["lamb", "adamw"])
def test_the_betas_are_the_momentum_and_the_default(name):
    groups = optimizer(torch.nn.Linear(2, 2), optim(optimizer=name, momentum=0.8)).param_groups
    assert {tuple(group["betas"]) for group in groups} == {(0.8, 0.999)}


def test_lambs_step_has_the_length_of_the_weight_times_the_rate():
    layer = torch.nn.Linear(8, 8, bias=False)
    before = layer.weight.detach().clone()
    layer.weight.grad = 1e-3 * torch.randn_like(before)
    optimizer(layer, optim(optimizer="lamb")).step()
    assert (layer.weight - before).norm().item() == pytest.approx(0.1 * before.norm().item(), rel=1e-5)


def test_lamb_leaves_clipping_to_the_guard():
    layer = torch.nn.Linear(8, 8, bias=False)
    assert optimizer(layer, optim(optimizer="lamb")).defaults["max_grad_norm"] is None


def test_lamb_without_timm_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setitem(sys.modules, "timm.optim.lamb", None)
    with pytest.raises(RunError, match=r"needs timm, .* pip install 'polycom-repro\[vision\]'") as error:
        optimizer(torch.nn.Linear(1, 1), optim(optimizer="lamb"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", ["cosine", "step"])
def test_the_warm_up_rises_in_equal_steps_to_the_peak(shape):
    assert rates(10, schedule=shape)[: 2 * EPOCH] == pytest.approx([(i + 1) / 20 for i in range(20)])


def test_the_cosine_is_halfway_at_half_time_and_ends_at_nothing():
    values = rates(10)
    assert values[2 * EPOCH] == 1
    assert values[6 * EPOCH] == pytest.approx(0.5)
    assert values[-1] == pytest.approx(0)
    assert values[3 * EPOCH] == pytest.approx((1 + math.cos(math.pi / 8)) / 2)


def test_tenths_fall_every_thirty_epochs_as_torchvisions():
    values = rates(90, schedule="step", warmup_epochs=0)
    parameter = torch.nn.Parameter(torch.zeros(1))
    theirs = torch.optim.lr_scheduler.StepLR(torch.optim.SGD([parameter], lr=1.0), step_size=30, gamma=0.1)
    for epoch in range(90):
        assert values[epoch * EPOCH : (epoch + 1) * EPOCH] == pytest.approx(EPOCH * theirs.get_last_lr())
        theirs.optimizer.step()
        theirs.step()


def test_tenths_are_counted_from_the_first_step_whatever_the_warm_up():
    values = rates(61, schedule="step", warmup_epochs=5)
    assert values[5 * EPOCH : 30 * EPOCH] == 25 * EPOCH * [1]
    assert values[30 * EPOCH : 60 * EPOCH] == pytest.approx(30 * EPOCH * [0.1])
    assert values[60 * EPOCH] == pytest.approx(0.01)
