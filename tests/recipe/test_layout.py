"""How models come to lie on machines: the order in which layouts are tried, and what a recipe may ask for."""

import pytest

from repro.errors import RecipeError
from repro.recipe import load, machine
from repro.recipe.layout import Fit, fit, layouts

ONCE, EACH, TWICE = {}, {"reduce_each": True}, {"reduce_each": True, "reshard": True}
FITS = [  # micro-batch, accumulation, devices of a copy, and what is done more often
    ("dense-1b-polynorm", "", "gpu", {}, Fit(4, 16, 1, **EACH)),
    ("dense-1b-polynorm", "", "gpu-x8", {}, Fit(8, 1, 8)),
    ("dense-1b-polynorm", "", "a100-4x8", {}, Fit(2, 1, 8)),
    ("dense-7b-swiglu", "", "gpu-x8", {}, Fit(2, 4, 8, **TWICE)),
    ("dense-13b-swiglu", "", "gpu-x8", {}, Fit(1, 8, 8, **TWICE)),
    ("dense-13b-swiglu", "", "gpu-x8", {"memory_gb": 60}, Fit(8, 1, 8, recompute=True, reshard=True)),
    ("moe-1b7b-polynorm", "", "gpu-x8", {}, Fit(4, 32, 8, **TWICE)),
    ("moe-1b7b-polynorm", "", "a100-8x8", {}, Fit(4, 4, 8, **TWICE)),
    ("moe-1b7b-polynorm", "reshard=false", "a100-8x8", {}, Fit(4, 4, 64, **EACH)),
    ("moe-1b7b-polynorm", "recompute=true", "a100-8x8", {}, Fit(16, 1, 8, recompute=True)),
    ("moe-1b7b-polynorm", "shard=64", "a100-8x8", {}, Fit(4, 4, 64, **EACH)),
    ("moe-1b7b-polynorm", "", "a100-8x8", {"memory_gb": 24}, Fit(1, 16, 64, **TWICE)),
    ("dense-350m-polynorm", "", "cpu", {}, Fit(2, 128, 1, **EACH)),
    ("resnet50-imagenet-relu", "", "gpu-x8", {}, Fit(32, 1, 1)),
]


@pytest.mark.parametrize(("name", "override", "on", "changes", "found"), FITS)
def test_a_recipe_lies_so_on_a_machine(name, override, on, changes, found):
    assert fit(load(name, override.split()), machine(on).model_copy(update=changes)) == found


def test_layouts_are_tried_from_copies_in_nodes_to_activations_computed_twice_and_to_one_copy():
    tried = [
        (each.shard, each.recompute, each.reduce_each, each.reshard)
        for each in layouts(load("moe-1b7b-swiglu"), machine("a100-8x8"))
    ]
    options = [(recompute, reduce, reshard) for recompute in (0, 1) for reduce in (0, 1) for reshard in (0, 1)]
    assert tried == [(shard, *each) for shard in (8, 64) for each in options]


@pytest.mark.parametrize(
    ("name", "override", "on", "told"),
    [
        ("resnet50-imagenet-relu", "shard=4", "gpu-x8", "shard .* 'gpu-x8': each device holds the whole model"),
        ("resnet50-imagenet-relu", "reshard=true", "gpu-x8", "reshard .* 'gpu-x8': each device holds the whole model"),
        ("dense-1b-relu", "recompute=true", "cpu", "recompute .* 'cpu': one device trains the whole model"),
        ("dense-1b-relu", "layout.compile=true", "cpu", "compile .* 'cpu': one device trains the whole model"),
        ("rnn-smoke-relu", "recompute=true", "cpu-x2", "recompute .* 'cpu-x2': its blocks are not those of a decoder"),
    ],
)
def test_what_would_have_no_effect_is_refused(name, override, on, told):
    with pytest.raises(
        RecipeError, match=rf"^layout\.{told}".replace(" .* ", rf" has no effect on {name} on machine ")
    ):
        fit(load(name, [override]), machine(on))


def test_experts_that_devices_cannot_share_are_refused():
    recipe = load("moe-smoke-swiglu", ["experts=3", "d_ff=72", "layout.shard=64", "tokens_per_step=4096"])
    told = (
        "cannot be shared out over 64 devices of machine 'h100-8x8', which divide neither its experts nor their width"
    )
    with pytest.raises(RecipeError, match=told):
        fit(recipe, machine("h100-8x8"))
