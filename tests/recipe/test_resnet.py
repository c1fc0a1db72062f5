"""Parameters and FLOPs of a ResNet: published ones, and those of the models built."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from repro.models import classifier_from_recipe
from repro.models.parameters import kinds
from repro.recipe.images import ResNet
from repro.recipe.resnet import convolutions, count, flops, sites
from repro.recipe.table import rows

RESNET50 = ResNet(
    activation="relu",
    classes=1000,
    blocks=(3, 4, 6, 3),
    width=64,
    stem="imagenet",
    sites="all",
    norm_axes="channel",
    zero_init_residual=True,
)
SMALL = RESNET50.model_copy(update={"classes": 62, "blocks": (1, 2, 1), "width": 12, "stem": "cifar"})
PLAIN = [name for name, row in rows().items() if not row.gated]


def variant(model, **changes):
    return model.model_copy(update=changes)


def built(model):
    with torch.device("meta"):
        return classifier_from_recipe(model)


@pytest.mark.parametrize(
    ("activation", "where", "expected"),
    [
        ("relu", "all", 25_557_032),
        ("polynorm", "all", 25_557_032 + 196),
        ("polyrelu", "all", 25_557_032 + 196),
        ("polynorm", "inner", 25_557_032 + 132),
    ],
)
def test_a_resnet50_has_torchvisions_parameters_and_four_coefficients_a_site(activation, where, expected):
    model = variant(RESNET50, activation=activation, sites=where)
    assert count(model).total == count(model).active == expected
    assert sum(p.numel() for p in built(model).parameters()) == expected


@pytest.mark.parametrize("where", ["all", "inner"])
@pytest.mark.parametrize("activation", PLAIN)
def test_the_count_is_that_of_the_model_built(activation, where):
    model = variant(SMALL, activation=activation, sites=where)
    parameters = dict(built(model).named_parameters())
    kind = kinds(built(model))
    counted = count(model)
    assert counted.total == sum(p.numel() for p in parameters.values())
    assert counted.coefficients == sum(p.numel() for name, p in parameters.items() if kind[name] == "coefficients")
    assert counted.non_embedding == sum(p.numel() for name, p in parameters.items() if not name.startswith("fc."))


def test_a_resnet50_has_49_sites_and_33_within_its_blocks_and_stem():
    assert (sites(RESNET50), sites(variant(RESNET50, sites="inner"))) == (49, 33)


def test_forward_flops_of_a_resnet50_are_those_that_torchvision_states():
    """4.089 billion multiply-adds in the metadata of its weights, which count each as one."""
    products = sum(each.weights * each.pixels(224) for each in convolutions(RESNET50)) + 2048 * 1000
    assert round(products / 1e9, 3) == 4.089


@pytest.mark.parametrize("size", [32, 45])
@pytest.mark.parametrize("model", [RESNET50, SMALL], ids=["resnet50", "small"])
def test_flops_are_those_that_torch_counts(model, size):
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        classifier_from_recipe(model)(torch.empty(2, 3, size, size)).sum().backward()
    assert counter.get_total_flops() == 2 * flops(model, size)
