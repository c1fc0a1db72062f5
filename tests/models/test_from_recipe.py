"""The models that recipes describe, held to what `repro plan` counts without building them."""

import pytest
import torch
from torch import nn

from repro import models
from repro.models.parameters import kinds
from repro.recipe import load, names
from repro.recipe.counting import count
from repro.recipe.families import MoEModel
from repro.recipe.parameters import ffn_width
from repro.recipe.schema import Model
from repro.recipe.table import rows


def on_meta(recipe):
    with torch.device("meta"):
        return models.from_recipe(recipe.model)


def total(model, *wanted):
    kind = kinds(model)
    return sum(p.numel() for name, p in model.named_parameters() if not wanted or kind[name] in wanted)


def active_share(model):
    return model.top_k / model.experts if isinstance(model, MoEModel) else 1


@pytest.mark.parametrize(
    ("activation", "expected"),
    [("swiglu", 1_345_423_360), ("gelu", 1_345_423_360), ("relu", 1_345_423_360), ("polynorm", 1_345_423_456)],
)
def test_the_papers_dense_model_has_the_published_size(activation, expected):
    recipe = load(f"dense-1b-{activation}")
    assert total(on_meta(recipe)) == count(recipe.model).total == expected


@pytest.mark.parametrize(
    ("activation", "coefficients"), [("swiglu", 0), ("relu", 0), ("polyrelu", 64), ("polynorm", 64)]
)
def test_the_papers_mixture_has_the_published_size(activation, coefficients):
    """OLMoE's card says 6.9B and 1.3B."""
    recipe = load(f"moe-1b7b-{activation}")
    counted = count(recipe.model)
    assert total(on_meta(recipe)) == counted.total == 6_919_161_856 + coefficients
    assert counted.active == 1_282_017_280 + coefficients


def test_coefficients_of_each_expert_are_64_times_as_many():
    recipe = load("moe-1b7b-polynorm", ["coefficients=expert"])
    assert total(on_meta(recipe), "coefficients") == count(recipe.model).coefficients == 64 * 64


def test_the_papers_dense_model_without_embeddings():
    assert count(load("dense-1b-swiglu").model).non_embedding == 1_214_351_360


@pytest.mark.parametrize(
    "name", [name for name in names() if name.split("-")[1] in {"smoke", "1b", "1b7b", "imagenet"}]
)
def test_plan_counts_what_the_model_has(name):
    recipe = load(name)
    model, counted = on_meta(recipe), count(recipe.model)
    assert total(model) == counted.total
    assert total(model, "coefficients") == counted.coefficients
    if isinstance(recipe.model, Model):
        check_decoder(recipe, model, counted)


def check_decoder(recipe, model, counted):
    head_and_embedding = 2 * recipe.model.vocab_size * recipe.model.d_model
    parts = {name: p.numel() for name, p in model.named_parameters() if "mlp" in name and "act_fn" not in name}
    ffn = sum(n for name, n in parts.items() if not name.endswith("mlp.gate.weight"))
    assert counted.active == counted.total - ffn + active_share(recipe.model) * ffn
    assert total(model) - head_and_embedding == counted.non_embedding
    assert ffn == counted.ffn_matrices


def test_every_activation_gets_the_same_number_of_ffn_weights():
    assert len({count(load(f"dense-1b-{activation}").model).ffn_matrices for activation in rows()}) == 1


def test_the_gated_model_has_three_matrices_of_two_thirds_the_width():
    recipe = load("dense-1b-swiglu")
    mlp = on_meta(recipe).layers[0].mlp
    shapes = {
        name: tuple(module.weight.shape) for name, module in mlp.named_children() if isinstance(module, nn.Linear)
    }
    assert ffn_width(recipe.model) == 5504
    assert shapes == {"gate_proj": (5504, 2048), "up_proj": (5504, 2048), "down_proj": (2048, 5504)}
