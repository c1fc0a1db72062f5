"""Parameters and FLOPs, to the last one: against the paper's sizes and against the models themselves."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from repro import models
from repro.errors import RecipeError
from repro.recipe import flops, load
from repro.recipe.parameters import Parameters, count, ffn_match_residual, ffn_width, gated_width
from repro.recipe.table import rows


@pytest.mark.parametrize("activation", ["relu", "gelu", "swiglu"])
def test_the_1b_model_is_the_same_size_plain_and_gated(activation):
    assert count(load(f"dense-1b-{activation}").model) == Parameters(
        total=1_345_423_360,
        active=1_345_423_360,
        non_embedding=1_214_351_360,
        ffn_matrices=811_597_824,
        coefficients=0,
    )


@pytest.mark.parametrize("activation", ["polyrelu", "polynorm"])
def test_polycom_adds_four_coefficients_a_layer(activation):
    counted = count(load(f"dense-1b-{activation}").model)
    assert counted.coefficients == 24 * 4 == 96
    assert (counted.total, counted.active, counted.non_embedding) == (1_345_423_456, 1_345_423_456, 1_214_351_456)


@pytest.mark.parametrize("name", ["dense-1b-swiglu", "dense-1b-polynorm", "dense-10m-relu", "dense-smoke-polyrelu_r4"])
def test_the_count_is_that_of_the_model_built(name):
    model = load(name).model
    with torch.device("meta"):
        built = models.from_recipe(model)
    assert count(model).total == sum(p.numel() for p in built.parameters())


@pytest.mark.parametrize("activation", list(rows()))
def test_every_activation_is_counted_as_it_is_built(activation):
    model = load(f"dense-smoke-{activation}").model
    with torch.device("meta"):
        built = models.from_recipe(model)
    matrices = sum(layer.weight.numel() for layer in built.modules() if type(layer) is torch.nn.Linear)
    attention_and_head = 4 * model.n_layers * model.d_model**2 + model.vocab_size * model.d_model
    assert count(model).total == sum(p.numel() for p in built.parameters())
    assert count(model).ffn_matrices == matrices - attention_and_head


@pytest.mark.parametrize("scale", ["smoke", "4m", "10m", "25m", "124m", "350m", "1b", "3b", "7b", "13b"])
def test_gated_and_plain_match_exactly_at_every_scale(scale):
    plain, gated = (load(f"dense-{scale}-{activation}").model for activation in ("relu", "swiglu"))
    assert ffn_match_residual(plain) == ffn_match_residual(gated) == 0
    assert count(plain) == count(gated)
    assert 3 * ffn_width(gated) == 2 * ffn_width(plain)


def test_a_width_without_a_third_is_refused():
    with pytest.raises(RecipeError, match=r"d_ff=8257 .* expected a multiple of 3, such as 8256 or 8259"):
        gated_width(8257)


def test_flops_of_the_1b_model_in_both_conventions():
    recipe = load("dense-1b-relu")
    per_token = flops.per_token(recipe.model, recipe.data.context)
    weights = 24 * (4 * 2048**2 + 2 * 2048 * 8256) + 32_000 * 2048
    assert per_token.causal == 6 * weights + 6 * 24 * 2048 * 4096
    assert per_token.palm == 6 * weights + 12 * 24 * 2048 * 4096
    assert (round(per_token.causal / 1e9, 2), round(per_token.palm / 1e9, 2)) == (8.89, 10.09)


@pytest.mark.parametrize("override", ["ffn_rank=null", "ffn_rank=7"])
def test_flops_are_those_that_torch_counts(override):
    """On the meta device attention is two plain products of all scores, as the PaLM convention counts them."""
    recipe = load("dense-smoke-relu", [override])
    with torch.device("meta"):
        built = models.from_recipe(recipe.model)
        tokens = torch.zeros(2, recipe.data.context, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        built(tokens).sum().backward()
    assert counter.get_total_flops() == flops.per_token(recipe.model, recipe.data.context).palm * tokens.numel()
