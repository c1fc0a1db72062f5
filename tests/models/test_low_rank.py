"""FFN matrices of a bounded rank: products of two factors, which start and compute as a whole matrix does."""

import math

import pytest
import torch
import torch.nn.functional as F

from repro import models
from repro.models.ffn import LowRank, PlainFFN
from repro.models.init import initialise
from repro.models.parameters import kinds
from repro.recipe import load
from repro.recipe.parameters import count, ffn_match_residual

D_MODEL, D_FF, RANK = 64, 264, 8


def decoder(activation="polynorm", *changes, rank=RANK, seed=0):
    model = load(f"dense-smoke-{activation}", [f"ffn_rank={rank}", *changes]).model
    network = models.from_recipe(model)
    initialise(network, seed, models.distribution(model))
    return network


@pytest.mark.parametrize(("activation", "matrices"), [("polynorm", 2), ("swiglu", 3)])
def test_no_matrix_has_a_higher_rank_and_random_ones_have_that(activation, matrices):
    found = [module for module in decoder(activation).modules() if isinstance(module, LowRank)]
    assert len(found) == 2 * matrices
    for module in found:
        assert torch.linalg.matrix_rank(module.weight.detach().double(), rtol=1e-6) == RANK


@pytest.mark.parametrize("rank", [1, 5, 6])
def test_it_computes_what_its_product_does_and_the_gradients_are_those_of_the_product(rank):
    """Up to the full rank, 6: of W = L R the gradients are dW R^T and L^T dW."""
    torch.manual_seed(0)
    factored, x = LowRank(6, 9, rank).double(), torch.randn(4, 7, 6, dtype=torch.float64, requires_grad=True)
    whole, same = factored.weight.detach().requires_grad_(), x.detach().clone().requires_grad_()
    ours, theirs = factored(x), F.linear(same, whole)
    torch.testing.assert_close(ours, theirs)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    left, right = factored.left.weight, factored.right.weight
    for found, wanted in (
        (x.grad, same.grad),
        (left.grad, whole.grad @ right.detach().T),
        (right.grad, left.detach().T @ whole.grad),
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)


def test_at_the_full_rank_a_network_computes_what_one_with_whole_matrices_does():
    factored, whole = decoder(rank=D_MODEL), models.from_recipe(load("dense-smoke-polynorm").model)
    products = {
        f"{name}.weight": module.weight.detach()
        for name, module in factored.named_modules()
        if isinstance(module, LowRank)
    }
    shared = {name: tensor for name, tensor in factored.state_dict().items() if name in whole.state_dict()}
    whole.load_state_dict(shared | products)
    tokens = torch.randint(0, 4096, (2, 32))
    torch.testing.assert_close(factored(tokens), whole(tokens), rtol=1e-4, atol=1e-4)  # logits of about 1


@pytest.mark.parametrize("init", ["small", "truncated"])
@pytest.mark.parametrize("name", ["up_proj", "gate_proj", "down_proj"])
def test_a_product_starts_with_the_variance_of_the_whole_matrix(init, name):
    """Over 64 seeds: those of products of 8 pairs scatter more than those of independent numbers."""
    found = []
    for seed in range(64):
        mlp = decoder("swiglu", f"init={init}", "n_layers=1", "vocab_size=300", seed=seed).layers[0].mlp
        found.append(getattr(mlp, name).weight.detach().double().square().mean())
    scaled = name == "down_proj" and init == "small"
    variance = 2 / (5 * D_MODEL) / (2 if scaled else 1) if init == "small" else (0.9866 * 0.02) ** 2 * 2048 / D_MODEL
    squares = torch.stack(found)
    error = squares.std() / math.sqrt(len(found))
    assert error < 0.03 * variance
    assert abs(squares.mean() - variance) < 4 * error


def test_what_goes_from_factor_to_factor_is_as_large_as_what_a_whole_matrix_gives():
    mlp = decoder(rank=D_MODEL).layers[0].mlp
    x = torch.randn(4096, D_MODEL, generator=torch.Generator().manual_seed(0))
    within, after = mlp.up_proj.right(x).std(), mlp.up_proj(x).std()
    assert within.item() == pytest.approx(math.sqrt(2 / 5), rel=0.1)
    assert after.item() == pytest.approx(math.sqrt(2 / 5), rel=0.1)


def test_weights_that_are_not_factored_start_as_without_a_rank():
    whole = models.from_recipe(model := load("dense-smoke-polynorm").model)
    initialise(whole, 0, models.distribution(model))
    ours, theirs = decoder().state_dict(), whole.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours.keys() & theirs.keys())
    assert {name for name in theirs if name not in ours} == {
        f"layers.{layer}.mlp.{name}_proj.weight" for layer in (0, 1) for name in ("up", "down")
    }


def test_factors_decay_as_matrices_and_an_activation_learns_as_ever():
    kind = kinds(decoder())
    for name in ("up_proj.left", "up_proj.right", "down_proj.left", "down_proj.right"):
        assert kind[f"layers.0.mlp.{name}.weight"] == "matrices"
    assert kind["layers.0.mlp.act_fn.coeff"] == "coefficients"


def test_parameters_are_those_counted_by_hand():
    plain, gated = (load(f"dense-smoke-{name}", [f"ffn_rank={RANK}"]).model for name in ("relu", "swiglu"))
    assert count(plain).ffn_matrices == 2 * 2 * RANK * (D_MODEL + D_FF) == 10_496
    assert count(gated).ffn_matrices == 2 * 3 * RANK * (D_MODEL + D_FF * 2 // 3) == 11_520
    assert ffn_match_residual(plain) == 0
    assert ffn_match_residual(gated) == pytest.approx(11_520 / 10_496 - 1)
    for model in (plain, gated):
        with torch.device("meta"):
            built = models.from_recipe(model)
        assert count(model).total == sum(p.numel() for p in built.parameters())


def test_an_ffn_is_made_of_the_matrices_that_are_passed_in():
    made = []

    def matrix(inputs, outputs):
        made.append((inputs, outputs))
        return torch.nn.Linear(inputs, outputs, bias=False)

    PlainFFN(4, 6, torch.nn.ReLU(), matrix)
    assert made == [(4, 6), (6, 4)]
