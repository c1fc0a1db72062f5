"""A term of the loss that moves the ranks of FFN matrices: its gradient, on one rank and two, and what it does."""

import json
import re

import pytest
import torch

from repro import models
from repro.analysis.spectrum import Spectrum
from repro.errors import RunError
from repro.models.init import initialise
from repro.recipe.runs import read_metrics
from repro.training import text
from repro.training.callbacks.rank_penalty import RankPenalty, add, log_participation_ratio
from repro.training.trained import Trained
from tests.conftest import EXPERTS, SMALL
from tests.training.conftest import CALM, Numbers, assert_nearly_equal
from tests.training.ranks import on_ranks

NETWORKS = {  # recipe, what differs from the small one, and its FFN matrices
    "plain": ("dense", "polynorm", {}, 4),
    "gated": ("dense", "swiglu", {}, 6),
    "of low rank": ("dense", "swiglu", {"model.ffn_rank": 5}, 6),
    "experts": ("moe", "polynorm", {}, 16),
    "gated experts": ("moe", "swiglu", {}, 24),
    "experts shared out by their width": ("moe", "polynorm", {"model.experts": 3}, 12),
}
TWICE = {"layout.micro_batch": 1, "layout.reshard": "true", "layout.recompute": "true"}
RUNS = {  # what differs in the model, and how it lies on two ranks
    "shared out": ({}, {}),
    "accumulating, gathering and computing twice": ({}, TWICE),
    "of low rank, reducing each": ({"model.ffn_rank": 5}, {"layout.micro_batch": 1, "layout.reduce_each": "true"}),
}
PENALTY = CALM | {"optim.rank_penalty": 0.5}


def started(recipe):
    module = text.module(recipe).to_empty(device="cpu")
    initialise(module.decoder, 0, models.distribution(recipe.model))
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    return module.decoder


def matrices(decoder):
    """Every FFN matrix, gates and what they let through and experts apart, as the model's own names have them."""
    for layer in decoder.layers:
        ffn = getattr(layer.mlp, "experts", layer.mlp)
        if not hasattr(layer.mlp, "experts"):
            yield from (part.weight for name, part in ffn.named_children() if name != "act_fn")
            continue
        yield from ffn.down_proj
        for expert in getattr(ffn, "gate_up_proj" if ffn.gated else "up_proj"):
            yield from expert.chunk(2) if ffn.gated else [expert]


def by_singular_values(matrix):
    """The logarithm of the participation ratio, as it is defined."""
    squares = torch.linalg.svdvals(matrix.double()).square()
    return (squares.sum().square() / squares.square().sum()).log()


@pytest.mark.parametrize("shape", [(7, 4), (4, 7), (5, 5), (1, 3)])
def test_the_participation_ratio_is_that_of_the_singular_values(shape):
    stack = torch.randn(3, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    wanted = torch.stack([by_singular_values(matrix) for matrix in stack])
    torch.testing.assert_close(log_participation_ratio(stack), wanted)
    assert log_participation_ratio(stack[0]).exp().item() == pytest.approx(Spectrum.of(stack[0]).participation_ratio)


def test_the_identity_has_the_whole_rank_and_a_column_has_one():
    assert log_participation_ratio(3 * torch.eye(6)).exp().item() == pytest.approx(6)
    assert log_participation_ratio(torch.randn(6, 1) @ torch.randn(1, 9)).exp().item() == pytest.approx(1)


@pytest.mark.parametrize("name", NETWORKS)
def test_its_gradient_is_that_of_the_mean_over_every_matrix_and_of_nothing_else(name, small):
    family, activation, changes, number = NETWORKS[name]
    decoder = started(small(changes, activation, family))
    term = add(decoder, -0.7)
    found = {name: parameter.grad - 1 for name, parameter in decoder.named_parameters()}
    logs = [by_singular_values(matrix) for matrix in matrices(decoder)]
    assert len(logs) == number
    wanted = 0.7 * torch.stack(logs).mean()
    decoder.zero_grad()
    wanted.backward()
    assert term.item() == pytest.approx(wanted.item(), rel=1e-5)
    for name, parameter in decoder.named_parameters():
        if parameter.grad is None:
            assert not found[name].any(), name
        else:  # it was added to ones, each of which takes in half a unit at most
            torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("family", "named"),
    [
        ("dense", "layers.1.mlp.up_proj has a matrix of zeros (up)"),
        ("moe", "layers.1.mlp.experts.gate_up_proj has a matrix of zeros (up, expert 2)"),
    ],
)
def test_a_matrix_of_zeros_is_refused_by_name(family, named, small):
    """Its ratio is 0 / 0: the step's gradient would be nan, and so would that of every step to come."""
    decoder = started(small(activation="swiglu", family=family))
    weight = decoder.get_parameter(named.partition(" ")[0] + (".weight" if family == "dense" else ""))
    with torch.no_grad():
        (weight[2].chunk(2)[1] if family == "moe" else weight).zero_()
    with pytest.raises(RunError, match=re.escape(f"optim.rank_penalty: {named}, whose")):
        add(decoder, 0.5)


def test_what_is_not_finite_is_left_to_the_guard(small):
    decoder = started(small())
    with torch.no_grad():
        decoder.layers[0].mlp.up_proj.weight[0, 0] = torch.nan
    assert add(decoder, 0.5).isnan()


@pytest.mark.parametrize("name", ["plain", "gated", "experts"])
def test_ranks_share_the_matrices_out(name, two_ranks):
    assert json.loads((two_ranks / f"{name}.json").read_text()) == [NETWORKS[name][3] / 2] * 2


BODY = """
import torch
from repro import models
from repro.data.manifest import Prepared
from repro.models.init import initialise
from repro.training import text
from repro.training.callbacks import rank_penalty
from repro.training.callbacks.rank_penalty import add
from repro.training.sharding import Sharding, mesh, shard
ratio, calls = rank_penalty.log_participation_ratio, []
rank_penalty.log_participation_ratio = lambda matrix: calls.append(1) or ratio(matrix)
for name, (words, settings) in json.loads(os.environ["RECIPES"]).items():
    calls.clear()
    module = text.module(recipe := load(words, settings))
    shard(module.decoder, mesh("cpu", ranks, ranks), Sharding(ranks=ranks, precision="bf16"))
    module.to_empty(device="cpu")
    initialise(module.decoder, 0, models.distribution(recipe.model))
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    term = add(module.decoder, -0.7)
    found = {name: weight.grad.full_tensor() for name, weight in module.decoder.named_parameters()}
    counts = [None] * ranks
    dist.all_gather_object(counts, len(calls))
    if rank == 0:
        torch.save((term, found), f"{name}.pt")
        Path(f"{name}.json").write_text(json.dumps(counts))
prepared = Prepared.open(Path(os.environ["PREPARED"]))
for name, settings in json.loads(os.environ["RUNS"]).items():
    run(load("dense-smoke-polynorm", settings), cpus, prepared, seed=0, folder=Path(name))
"""


@pytest.fixture(scope="module")
def two_ranks(prepared, tmp_path_factory):
    """Gradients of each network, and runs of each layout."""
    folder = tmp_path_factory.mktemp("two")
    recipes = {name: (f"{of[0]}-smoke-{of[1]}", settings(of[0], of[2])) for name, of in NETWORKS.items()}
    runs = {name: settings("dense", PENALTY | model | layout) for name, (model, layout) in RUNS.items()}
    told = {"PREPARED": str(prepared.folder), "RECIPES": json.dumps(recipes), "RUNS": json.dumps(runs)}
    on_ranks(2, BODY, folder, **told)
    return folder


def settings(family, changes):
    return [f"{key}={value}" for key, value in (SMALL | (EXPERTS if family == "moe" else {}) | changes).items()]


@pytest.mark.parametrize("name", NETWORKS)
def test_two_ranks_add_what_one_does_in_float32_whatever_blocks_compute_in(name, small, two_ranks):
    family, activation, changes, _ = NETWORKS[name]
    decoder = started(small(changes, activation, family))
    own, (theirs, found) = add(decoder, -0.7), torch.load(two_ranks / f"{name}.pt")
    assert torch.equal(own, theirs)
    assert all(torch.equal(found[name], parameter.grad) for name, parameter in decoder.named_parameters())


# In training


@pytest.mark.parametrize("name", RUNS)
def test_however_a_step_is_made_it_counts_once(name, two_ranks, small, train):
    assert_nearly_equal(Numbers.of(two_ranks / name), train(small(PENALTY | RUNS[name][0])))


def mean_log(folder):
    decoder = Trained.at(folder).network(torch.device("cpu"))
    return torch.stack([by_singular_values(matrix) for matrix in matrices(decoder)]).mean().item()


@pytest.mark.parametrize(("family", "activation"), [("dense", "polynorm"), ("moe", "swiglu")])
def test_above_zero_it_raises_ranks_and_below_it_lowers_them(family, activation, small, train, tmp_path):
    ranks = {}
    for weight in (-0.3, 0.0, 0.3):
        train(small({"optim.rank_penalty": weight}, activation, family), f"run{weight}")
        ranks[weight] = mean_log(tmp_path / f"run{weight}")
    assert ranks[-0.3] + 0.05 < ranks[0.0] < ranks[0.3] - 0.05


@pytest.mark.parametrize("family", ["dense", "moe"])
def test_at_zero_which_is_the_default_nothing_is_there_that_could_cost_or_change_a_bit(family, small, tmp_path):
    zero, default = small({"optim.rank_penalty": 0}, family=family), small(family=family)
    assert zero.model_dump() == default.model_dump()
    assert not any(isinstance(each, RankPenalty) for each in text.callbacks(small(family=family), tmp_path))
    assert isinstance(text.callbacks(small(PENALTY), tmp_path)[0], RankPenalty)


def test_the_loss_that_is_logged_is_the_cross_entropy_and_the_term_stands_beside_it(small, train, tmp_path):
    """At the first step the weights are those of a run without it, and so is the loss; the gradient is not."""
    train(small({"optim.rank_penalty": 0.5}), "with")
    train(small(), "without")
    ours, theirs = (read_metrics(tmp_path / name / "metrics.csv") for name in ("with", "without"))
    assert ours[0]["loss"] == theirs[0]["loss"]
    assert ours[0]["grad_norm"] != theirs[0]["grad_norm"]
    added = {int(row["step"]): float(row["rank_penalty"]) for row in ours if row["rank_penalty"]}
    assert list(added) == [10, 20, 24]
    # of the weights that the last step began with, which it moved by little
    assert added[24] == pytest.approx(-0.5 * mean_log(tmp_path / "with"), rel=1e-2)
    assert not any(row["rank_penalty"] for row in theirs)


def test_a_run_with_it_goes_on_to_the_bit(small, train):
    recipe = small({"optim.rank_penalty": 0.5, "model.ffn_rank": 6})
    assert train(recipe, "stopped", stop_at=[13]) == train(recipe, "whole")
