"""Who decays: the recipe says it for matrices, embeddings and norms; PolyCom coefficients never."""

import pytest

from repro import models
from repro.training.optimizer import adamw


def decay_of(model, optimizer):
    name = {id(parameter): name for name, parameter in model.named_parameters()}
    return {name[id(p)]: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"matrices": 0.1, "embeddings": 0.1, "norms": 0.0}),
        ({"norms": 0.3, "embeddings": 0.2, "matrices": 0.4}, {"matrices": 0.4, "embeddings": 0.2, "norms": 0.3}),
    ],
    ids=["official script", "overridden"],
)
def test_each_kind_decays_as_the_recipe_says(small, changes, expected):
    recipe = small({f"optim.weight_decay.{kind}": value for kind, value in changes.items()})
    model = models.from_recipe(recipe.model)
    decay = decay_of(model, adamw(model, recipe.optim))
    assert decay["layers.0.self_attn.q_proj.weight"] == expected["matrices"]
    assert decay["embed_tokens.weight"] == expected["embeddings"]
    assert decay["layers.1.post_attention_layernorm.weight"] == expected["norms"]
    assert decay["layers.1.mlp.act_fn.coeff"] == 0.0


@pytest.mark.parametrize("coefficients", ["layer", "expert"])
def test_in_a_mixture_all_but_the_coefficients_decay(small, coefficients):
    recipe = small({"model.coefficients": coefficients}, family="moe")
    model = models.from_recipe(recipe.model)
    decay = decay_of(model, adamw(model, recipe.optim))
    assert {name for name, value in decay.items() if value == 0} == {
        f"layers.{i}.mlp.experts.act_fn.coeff" for i in range(2)
    }
    assert set(decay.values()) == {0, 0.1}
    assert decay["layers.0.self_attn.q_norm.weight"] == decay["embed_tokens.weight"] == 0.1
    assert decay["layers.0.mlp.gate.weight"] == decay["layers.0.mlp.experts.up_proj"] == 0.1


@pytest.mark.parametrize("activation", ["polynorm", "prelu", "xielu", "swiglu"])
def test_every_parameter_is_trained_once(small, activation):
    model = models.from_recipe(small(activation=activation).model)
    optimizer = adamw(model, small().optim)
    assert len(decay_of(model, optimizer)) == len(list(model.parameters()))
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))
