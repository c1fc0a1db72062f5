"""Initial weights: a pure function of (seed, name), with the official script's standard deviations."""

import math

import pytest
import torch

from repro import activations
from repro.models import Decoder, GatedFFN, PlainFFN
from repro.models.init import initialise, small

D_MODEL, N_LAYERS = 64, 2


def arm(name, gated=False, seed=0):
    kind, width = (GatedFFN, 64) if gated else (PlainFFN, 96)
    with torch.device("meta"):
        model = Decoder(
            vocab_size=100,
            d_model=D_MODEL,
            n_layers=N_LAYERS,
            n_heads=4,
            ffn=lambda: kind(D_MODEL, width, activations.build(name)),
        )
    model.to_empty(device="cpu")
    initialise(model, seed, small(D_MODEL, N_LAYERS))
    return model.state_dict()


def test_arms_start_from_the_same_weights_wherever_they_have_the_same():
    relu, polynorm, swiglu = arm("relu"), arm("polynorm"), arm("swiglu", gated=True)
    assert all(torch.equal(relu[name], polynorm[name]) for name in relu)
    shared = [name for name in relu if relu[name].shape == swiglu[name].shape]
    assert len(shared) > len(relu) / 2
    assert all(torch.equal(relu[name], swiglu[name]) for name in shared)


def test_a_seed_changes_every_matrix_and_repeats_exactly():
    one, again, two = arm("relu", seed=1), arm("relu", seed=1), arm("relu", seed=2)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(one[name], two[name]) for name in one if one[name].dim() == 2)


def test_layers_differ():
    weights = arm("relu")
    assert not torch.equal(weights["layers.0.mlp.up_proj.weight"], weights["layers.1.mlp.up_proj.weight"])


@pytest.mark.parametrize(
    ("name", "std"),
    [
        ("embed_tokens.weight", math.sqrt(2 / (5 * D_MODEL))),
        ("lm_head.weight", math.sqrt(2 / (5 * D_MODEL))),
        ("layers.0.self_attn.q_proj.weight", math.sqrt(2 / (5 * D_MODEL))),
        ("layers.1.mlp.down_proj.weight", math.sqrt(2 / (5 * D_MODEL)) / math.sqrt(2 * N_LAYERS)),
        ("layers.1.self_attn.o_proj.weight", math.sqrt(2 / (5 * D_MODEL)) / math.sqrt(2 * N_LAYERS)),
    ],
)
def test_standard_deviations_are_the_official_scripts(name, std):
    weight = arm("relu")[name]
    assert weight.std().item() == pytest.approx(std, rel=4 / math.sqrt(2 * weight.numel()))  # four standard errors


def test_norms_and_coefficients_start_as_the_paper_says():
    weights = arm("polynorm")
    assert weights["norm.weight"].eq(1).all()
    assert weights["layers.0.mlp.act_fn.coeff"].tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])


def test_the_1b_models_deviation_is_the_scripts_constant():
    assert math.sqrt(2 / (5 * 2048)) == pytest.approx(0.013975424859373685)
