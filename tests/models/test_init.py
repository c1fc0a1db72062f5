"""Initial weights: a pure function of (seed, name), with the official script's standard deviations."""

import math

import pytest
import torch

from repro import activations
from repro.models import Decoder, GatedFFN, MoE, PlainFFN
from repro.models.init import initialise, small, truncated

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


@pytest.fixture(scope="module")
def mixture():
    model = Decoder(
        vocab_size=100,
        d_model=D_MODEL,
        n_layers=N_LAYERS,
        n_heads=4,
        ffn=lambda: MoE(8, 2, D_MODEL, 96, activations.build("polynorm"), gated=False),
        qk_norm=True,
    )
    initialise(model, 0, truncated(D_MODEL))
    return model.state_dict()


@pytest.mark.parametrize(
    "name",
    [
        "embed_tokens.weight",
        "lm_head.weight",
        "layers.0.self_attn.q_proj.weight",
        "layers.1.self_attn.o_proj.weight",
        "layers.0.mlp.gate.weight",
        "layers.0.mlp.experts.up_proj",
        "layers.1.mlp.experts.down_proj",
    ],
)
def test_every_matrix_of_a_mixture_has_the_official_configurations_distribution(mixture, name):
    """0.02 at a d_model of 2048 and in proportion here, cut at three deviations, which leaves 0.9866 of one."""
    weight, std = mixture[name], 0.02 * math.sqrt(2048 / D_MODEL)
    assert weight.std().item() == pytest.approx(0.9866 * std, rel=4 / math.sqrt(2 * weight.numel()))
    assert weight.abs().max() <= 3 * std


def test_a_mixtures_norms_and_coefficients_start_as_the_dense_models(mixture):
    assert mixture["layers.0.self_attn.q_norm.weight"].eq(1).all()
    assert mixture["layers.0.mlp.experts.act_fn.coeff"].tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])


def test_experts_differ(mixture):
    first, second, *_ = mixture["layers.0.mlp.experts.up_proj"]
    assert not torch.equal(first, second)


def test_at_the_papers_width_the_deviation_is_the_official_configurations():
    weight = truncated(2048)("any", torch.Size([512, 512]), torch.Generator().manual_seed(0))
    assert weight.std().item() == pytest.approx(0.9866 * 0.02, rel=0.01)
