"""Which matrices of a network are looked at: all of them, each part by its name."""

import pytest
import torch

from repro import models
from repro.analysis.matrices import Ranks, normalised_ranks, weights
from repro.analysis.random_matrices import effective_rank
from repro.recipe import load


def network(name, *settings):
    with torch.device("meta"):
        return models.from_recipe(load(name, settings).model)


def listed(name, *settings):
    """Layer, part and shapes, and the parameters that they are in."""
    made = network(name, *settings)
    state = made.state_dict()
    every = weights(made)
    found = [
        (weight.layer, part, tuple(stacked.shape))
        for weight in every
        for part, stacked in weight.matrices([state[factor] for factor in weight.factors]).items()
    ]
    return found, [factor for weight in every for factor in weight.factors]


def test_a_plain_ffn_has_two():
    found, parameters = listed("dense-smoke-polynorm")
    assert found == [(i, *part) for i in (0, 1) for part in (("up", (1, 264, 64)), ("down", (1, 64, 264)))]
    assert parameters == [f"layers.{i}.mlp.{part}_proj.weight" for i in (0, 1) for part in ("up", "down")]


def test_a_gated_ffn_has_three():
    found, _ = listed("dense-smoke-swiglu")
    shapes = ("gate", (1, 176, 64)), ("up", (1, 176, 64)), ("down", (1, 64, 176))
    assert found == [(i, *part) for i in (0, 1) for part in shapes]


def test_experts_are_apart_and_so_are_gate_and_up_that_lie_in_one_tensor():
    plain, _ = listed("moe-smoke-polynorm")
    assert plain == [(i, *part) for i in (0, 1) for part in (("up", (4, 96, 64)), ("down", (4, 64, 96)))]
    gated, parameters = listed("moe-smoke-swiglu")
    shapes = ("gate", (4, 64, 64)), ("up", (4, 64, 64)), ("down", (4, 64, 64))
    assert gated == [(i, *part) for i in (0, 1) for part in shapes]
    assert parameters == [f"layers.{i}.mlp.experts.{name}_proj" for i in (0, 1) for name in ("gate_up", "down")]


@pytest.mark.parametrize("name", ["dense-smoke-swiglu", "moe-smoke-swiglu", "moe-smoke-polynorm"])
def test_no_matrix_of_an_ffn_is_left_out(name):
    _, found = listed(name)
    own = {key for key in network(name).state_dict() if ".mlp." in key and "act_fn" not in key}
    assert set(found) == own - {key for key in own if key.endswith("mlp.gate.weight")}, "but for the routers"


def test_every_convolution_of_a_resnet_is_a_matrix_of_outputs_and_kernels():
    made = network("resnet50-imagenet-relu")
    state = made.state_dict()
    convolutions = {key for key, value in state.items() if value.ndim == 4}
    found, parameters = listed("resnet50-imagenet-relu")
    assert set(parameters) == convolutions
    assert len(parameters) == 53
    assert found[0] == (0, "stem", (1, 64, 3 * 7 * 7))
    first = ("conv1", (1, 64, 64)), ("conv2", (1, 64, 64 * 9)), ("conv3", (1, 256, 64)), ("downsample", (1, 256, 64))
    assert found[1:5] == [(1, *part) for part in first]
    assert found[-1] == (16, "conv3", (1, 2048, 512))


def test_the_controls_have_their_own():
    recurrent, _ = listed("rnn-smoke-relu")
    assert recurrent == [(i, part, (1, 64, 64)) for i in (0, 1) for part in ("input", "recurrent")]
    perceptron, parameters = listed("mlp-smoke-relu")
    assert [part for _, part, _ in perceptron] == ["hidden"] * len(perceptron)
    assert parameters == [f"layers.{i}.linear.weight" for i in range(len(perceptron))]


def test_gate_and_up_are_told_apart_by_what_is_planted_in_them():
    (weight, _, *_) = weights(network("moe-smoke-swiglu"))
    planted = torch.randn(4, 128, 64, generator=torch.Generator().manual_seed(0))
    planted[:, :64] = torch.eye(64)
    planted[2, 64:] = torch.ones(64, 64)
    parts = weight.matrices([planted])
    assert normalised_ranks(parts["gate"]) == pytest.approx([64 / effective_rank(64, 64)] * 4)
    up = normalised_ranks(parts["up"])
    assert up[2] == pytest.approx(1 / effective_rank(64, 64), rel=1e-4)
    assert all(0.95 < rank < 1.05 for rank in (up[0], up[1], up[3]))


def test_of_a_matrix_in_two_factors_it_is_the_product_that_is_ranked():
    found, parameters = listed("dense-smoke-polynorm", "model.ffn_rank=8")
    assert found == listed("dense-smoke-polynorm")[0]
    assert parameters[:2] == ["layers.0.mlp.up_proj.left.weight", "layers.0.mlp.up_proj.right.weight"]
    weight = weights(network("dense-smoke-polynorm", "model.ffn_rank=8"))[0]
    left, right = torch.randn(264, 8), torch.randn(8, 64)
    (stacked,) = weight.matrices([left, right]).values()
    torch.testing.assert_close(stacked[0], left.double() @ right.double())
    assert normalised_ranks(stacked)[0] * effective_rank(264, 64) < 8.1


def test_several_experts_are_a_mean_and_two_ends():
    assert Ranks.of(3, "up", [0.5, 1.0, 0.75]) == Ranks(3, "up", mean=0.75, smallest=0.5, largest=1.0)
