"""Mixtures of experts in training: exact resume, the routers' losses, and experts that a rank does not use."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from repro import models
from repro.errors import Preempted
from repro.models import distribution
from repro.models.balance import load_balancing, router_z
from repro.models.init import initialise
from repro.recipe import machine
from repro.recipe.runs import read_metrics
from repro.training.language_model import LanguageModel
from repro.training.routers import auxiliary
from repro.training.run import run
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


def test_the_metrics_tell_how_experts_are_used_and_the_loss_is_the_cross_entropy(small, prepared, tmp_path):
    run(small(family="moe"), machine("cpu"), prepared, seed=0, folder=tmp_path)
    rows = [row for row in read_metrics(tmp_path / "metrics.csv") if row["largest_load"]]
    assert [int(row["step"]) for row in rows] == [10, 20, 24]
    for row in rows:
        assert 0 <= float(row["smallest_load"]) <= 1 <= float(row["largest_load"]) <= 2
        assert float(row["load_balancing"]) >= 0.9
        assert 0 < float(row["router_entropy"]) <= 1.3863
        assert float(row["dropped_tokens"]) == 0


TWO_RANKS = """
import json, os
import torch, torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from repro import models
from repro.models import distribution
from repro.models.init import initialise
from repro.recipe import load
from repro.training.routers import auxiliary
from repro.training.strategy import shard

recipe = load("moe-smoke-polynorm", json.loads(os.environ["OVERRIDES"]))
dist.init_process_group("gloo")
rank = dist.get_rank()
with torch.device("meta"):
    decoder = models.from_recipe(recipe.model)
shard(decoder, init_device_mesh("cpu", (2,)), "fp32")
decoder.to_empty(device="cpu")
initialise(decoder, 0, distribution(recipe.model))
tokens, targets = torch.load(os.environ["BATCH"])
mine = slice(2 * rank, 2 * rank + 2)
losses = decoder(tokens[mine], targets[mine])
(losses.mean + auxiliary(recipe)(losses.routing)).backward()
starved = [bool((r.counts == 0).any()) for r in losses.routing]
gathered = [None, None]
dist.all_gather_object(gathered, any(starved))
gradients = {name: p.grad.full_tensor() for name, p in decoder.named_parameters()}
if rank == 0:
    torch.save({"gradients": gradients, "starved": gathered}, os.environ["RESULT"])
dist.destroy_process_group()
"""


def test_an_expert_that_one_rank_starves_gets_the_gradient_of_the_whole_batch(small, tmp_path):
    """FSDP2 gives wrong gradients in silence where a rank leaves a parameter out."""
    changes = {"experts": 8, "top_k": 1, "scope": "global", "load_balancing": 0.1}
    recipe = small(changes, family="moe")
    tokens = torch.zeros(4, 16, dtype=torch.long)  # rank 0 sees one token over and over, and so few experts
    tokens[2:] = torch.randint(0, 512, (2, 16), generator=torch.Generator().manual_seed(0))
    targets = torch.randint(0, 512, (4, 16), generator=torch.Generator().manual_seed(1))
    found = two_ranks(recipe, tokens, targets, changes, tmp_path)
    decoder = models.from_recipe(recipe.model)
    initialise(decoder, 0, distribution(recipe.model))
    losses = decoder(tokens, targets)
    (losses.mean + auxiliary(recipe)(losses.routing)).backward()
    assert found["starved"][0]
    for name, parameter in decoder.named_parameters():
        error = (found["gradients"][name] - parameter.grad).norm()
        assert error <= 2e-6 * parameter.grad.norm() + 1e-9, name


def two_ranks(recipe, tokens: Tensor, targets: Tensor, changes: dict, folder: Path) -> dict:
    from tests.conftest import EXPERTS, SMALL

    script, given, result = folder / "two_ranks.py", folder / "batch.pt", folder / "result.pt"
    script.write_text(TWO_RANKS)
    torch.save((tokens, targets), given)
    environment = os.environ | {
        "OVERRIDES": json.dumps([f"{key}={value}" for key, value in (SMALL | EXPERTS | changes).items()]),
        "BATCH": str(given),
        "RESULT": str(result),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", script]
    ended = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    loaded: dict = torch.load(result)
    return loaded
