"""Mixtures of experts in training: exact resume, the routers' losses, and experts that a rank does not use."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from repro import models
from repro.errors import Preempted
from repro.models import distribution
from repro.models.balance import load_balancing, router_z
from repro.models.init import initialise
from repro.models.moe import Routing
from repro.recipe import layout, load, machine
from repro.recipe.runs import read_metrics
from repro.training.callbacks.routers import Routers
from repro.training.language_model import LanguageModel
from repro.training.routers import auxiliary
from repro.training.run import run
from repro.training.sharding import Sharding, mesh, shard
from tests.conftest import EXPERTS, SMALL
from tests.training.conftest import Numbers


def module(recipe):
    decoder = models.from_recipe(recipe.model)
    initialise(decoder, 0, distribution(recipe.model))
    return LanguageModel(decoder, recipe.optim, warmup_steps=1, total_steps=2, auxiliary=auxiliary(recipe))


def batch():
    return torch.randint(0, 512, (4, 17), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("activation", ["polynorm", "swiglu"])
def test_an_interrupted_run_goes_on_to_the_bit(small, train, prepared, tmp_path, at_step, activation):
    recipe = small(activation=activation, family="moe")
    whole = train(recipe, "whole")
    at_step(13, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Preempted):
        run(recipe, machine("cpu"), prepared, seed=0, folder=tmp_path / "run")
    run(recipe, machine("cpu"), prepared, seed=0, folder=tmp_path / "run")
    assert Numbers.of(tmp_path / "run") == whole


def test_what_is_minimised_is_the_cross_entropy_and_the_weighted_losses_of_the_routers(small):
    recipe = small(family="moe")
    given = module(recipe).training_step(batch())
    routing = given["routing"]
    expected = given["cross_entropy"] + 0.01 * load_balancing(routing) + 0.001 * router_z(routing, 2)
    torch.testing.assert_close(given["loss"], expected)
    assert given["loss"] > given["cross_entropy"]


def test_models_as_released_minimise_the_cross_entropy_alone(small):
    given = module(small({"load_balancing": 0, "router_z": 0}, family="moe")).training_step(batch())
    assert given["loss"] == given["cross_entropy"]


def test_one_device_is_all_devices(small):
    local, everywhere = (module(small({"scope": s}, family="moe")).training_step(batch()) for s in ("local", "global"))
    assert local["loss"] == everywhere["loss"]


def test_an_accumulated_step_is_the_mean_of_its_micro_batches(small, prepared, tmp_path, monkeypatch):
    recipe = small({"load_balancing": 1, "budget.tokens": 128, "optim.warmup_tokens": 0}, family="moe")
    seen, training_step = [], LanguageModel.training_step

    def remembering(self, batch):
        seen.append(batch)
        return training_step(self, batch)

    monkeypatch.setattr(layout, "fit", lambda recipe, machine: layout.Fit(micro_batch=4, accumulation=2))
    monkeypatch.setattr(LanguageModel, "training_step", remembering)
    run(recipe, machine("cpu"), prepared, seed=0, folder=tmp_path)
    trained = module(recipe)
    for micro_batch in seen:
        (training_step(trained, micro_batch)["loss"] / 2).backward()
    norm = torch.nn.utils.get_total_norm([p.grad for p in trained.parameters()]).item()
    (row,) = (row for row in read_metrics(tmp_path / "metrics.csv") if row["grad_norm"])
    assert len(seen) == 2
    assert float(row["grad_norm"]) == pytest.approx(norm, rel=1e-6)


def test_routers_and_coefficients_stay_in_float32_where_products_are_in_bfloat16(small, one_process_group):
    recipe = small({"coefficients": "expert"}, family="moe")
    with torch.device("meta"):
        decoder = models.from_recipe(recipe.model)
    shard(decoder, mesh("cpu", 1, 1), Sharding(ranks=1, precision="bf16"))
    decoder.to_empty(device="cpu")
    initialise(decoder, 0, distribution(recipe.model))
    seen, mixture = {}, decoder.layers[0].mlp
    for name, part in (("router", mixture.gate), ("coefficients", mixture.experts.act_fn)):
        part.register_forward_hook(lambda part, _, y, name=name: seen.update({name: next(part.parameters()).dtype}))
    mixture.register_forward_hook(lambda _, x, y: seen.update(experts=mixture.experts.up_proj.dtype, sum=y[0].dtype))
    losses = decoder(*(batch()[:, i : i + 16] for i in (0, 1)))
    (losses.mean + auxiliary(recipe)(losses.routing)).backward()
    assert seen == {
        "router": torch.float32,
        "coefficients": torch.float32,
        "experts": torch.bfloat16,
        "sum": torch.bfloat16,
    }
    assert all(p.grad.dtype == torch.float32 and p.grad.full_tensor().isfinite().all() for p in decoder.parameters())


class Rows:
    """A logger that remembers."""

    def __init__(self):
        self.rows = []

    def log_metrics(self, row, step):
        self.rows.append(row)


def test_loads_are_in_units_of_an_even_share_and_dropped_tokens_are_counted():
    """Two layers of four experts, four tokens of two experts each; the second layer has lost one."""
    each, rows = torch.full((4,), 0.25), Rows()
    routing = tuple(
        Routing(torch.tensor(counts), probability=each, z=torch.tensor(2.0), entropy=torch.tensor(entropy))
        for counts, entropy in (([4.0, 0.0, 2.0, 2.0], 1.0), ([2.0, 2.0, 2.0, 1.0], 0.5))
    )
    trainer = SimpleNamespace(accumulate_grad_batches=1, global_step=10, max_steps=100, loggers=[rows])
    Routers(top_k=2).on_train_batch_end(trainer, None, {"routing": routing}, torch.zeros(1, 5), batch_idx=9)
    assert rows.rows == [
        {
            "load_balancing": pytest.approx(1),
            "router_z": 1,
            "router_entropy": 0.75,
            "largest_load": 2,
            "smallest_load": 0,
            "dropped_tokens": 1,
            "load/0/largest": 2,
            "load/1/largest": 1,
            "load/0/smallest": 0,
            "load/1/smallest": 0.5,
        }
    ]


def test_the_metrics_tell_how_experts_are_used_and_the_loss_is_the_cross_entropy(small, prepared, tmp_path):
    run(small(family="moe"), machine("cpu"), prepared, seed=0, folder=tmp_path)
    rows = [row for row in read_metrics(tmp_path / "metrics.csv") if row["largest_load"]]
    assert [int(row["step"]) for row in rows] == [10, 20, 24]
    for row in rows:
        assert 0 <= float(row["smallest_load"]) <= 1 <= float(row["largest_load"]) <= 2
        assert float(row["load_balancing"]) >= 0.9
        assert 0 < float(row["router_entropy"]) <= 1.3863
        assert float(row["dropped_tokens"]) == 0


# On two ranks


CASES = {
    scope: [
        f"{key}={value}"
        for key, value in (SMALL | EXPERTS | {"experts": 8, "top_k": 1, "load_balancing": 0.1, **case}).items()
    ]
    for scope, case in {
        "global": {"scope": "global"},
        "local": {"scope": "local", "coefficients": "expert"},
    }.items()
}

TWO_RANKS = """
import json, os
import torch, torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from repro import models
from repro.models import distribution
from repro.models.init import initialise
from repro.recipe import load
from repro.training.routers import auxiliary
from repro.training.sharding import Sharding, mesh, shard

dist.init_process_group("gloo")
rank, found = dist.get_rank(), {}
tokens, targets = (half.chunk(2)[rank] for half in torch.load(os.environ["BATCH"]))
for scope, overrides in json.loads(os.environ["CASES"]).items():
    recipe = load("moe-smoke-polynorm", overrides)
    with torch.device("meta"):
        decoder = models.from_recipe(recipe.model)
    shard(decoder, mesh("cpu", 2, 2), Sharding(ranks=2))
    decoder.to_empty(device="cpu")
    initialise(decoder, 0, distribution(recipe.model))
    losses = decoder(tokens, targets)
    (losses.mean + auxiliary(recipe)(losses.routing)).backward()
    counts = [None, None]
    dist.all_gather_object(counts, torch.stack([r.counts for r in losses.routing]))
    gradients = {name: p.grad.full_tensor() for name, p in decoder.named_parameters()}
    found[scope] = {"gradients": gradients, "counts": torch.stack(counts)}
if rank == 0:
    torch.save(found, os.environ["RESULT"])
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def windows():
    """Tokens, of which the first half, rank 0's, is one over and over, so that it uses few experts; and targets."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.cat([torch.zeros(2, 16, dtype=torch.long), torch.randint(0, 512, (2, 16), generator=generator)])
    return tokens, torch.randint(0, 512, (4, 16), generator=generator)


@pytest.fixture(scope="module")
def two_ranks(windows, tmp_path_factory):
    """By scope: gradients under FSDP2, and how many tokens each expert got, ``(ranks, layers, experts)``."""
    folder = tmp_path_factory.mktemp("two_ranks")
    script, given, result = folder / "two_ranks.py", folder / "batch.pt", folder / "result.pt"
    script.write_text(TWO_RANKS)
    torch.save(windows, given)
    environment = os.environ | {
        "CASES": json.dumps(CASES),
        "BATCH": str(given),
        "RESULT": str(result),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", script]
    ended = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return torch.load(result)


def alone(scope, *batches):
    """Gradients of one process: the mean over ``batches``, each with its own loss."""
    recipe = load("moe-smoke-polynorm", CASES[scope])
    trained = module(recipe).decoder
    for tokens, targets in batches:
        losses = trained(tokens, targets)
        ((losses.mean + auxiliary(recipe)(losses.routing)) / len(batches)).backward()
    return {name: p.grad for name, p in trained.named_parameters()}


def assert_equal_but_for_rounding(ours, theirs):
    for name, gradient in theirs.items():
        assert (ours[name] - gradient).norm() <= 2e-6 * gradient.norm() + 1e-9, name


def test_experts_that_one_of_two_ranks_starves_get_the_gradient_of_the_whole_batch(two_ranks, windows):
    """FSDP2 gives wrong gradients in silence where a rank leaves a parameter out."""
    found = two_ranks["global"]
    starved, used = (found["counts"] == 0)[0], (found["counts"] > 0)[1]
    assert (starved & used).any()
    assert_equal_but_for_rounding(found["gradients"], alone("global", windows))


def test_an_expert_that_both_ranks_starve_gets_a_gradient_of_zero(two_ranks):
    for found in two_ranks.values():
        unused = (found["counts"].sum(0) == 0).nonzero().tolist()
        assert unused
        for layer, expert in unused:
            assert found["gradients"][f"layers.{layer}.mlp.experts.up_proj"][expert].eq(0).all()
            assert found["gradients"][f"layers.{layer}.mlp.experts.down_proj"][expert].eq(0).all()


def test_shares_are_of_a_ranks_own_tokens_in_the_local_scope(two_ranks, windows):
    """As two micro-batches of one process, whose losses are averaged; not as both at once."""
    halves = zip(*(half.chunk(2) for half in windows), strict=True)
    ours, whole = two_ranks["local"]["gradients"], alone("local", windows)
    assert_equal_but_for_rounding(ours, alone("local", *halves))
    gate = "layers.0.mlp.gate.weight"
    assert (ours[gate] - whole[gate]).norm() > 0.01 * whole[gate].norm()
