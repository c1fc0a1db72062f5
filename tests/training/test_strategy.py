"""The bare model and the sharded one are the same model."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from repro import models
from repro.errors import Preempted
from repro.models import distribution
from repro.models.init import initialise
from repro.recipe import machine
from repro.training import build as building
from repro.training import checkpoints
from repro.training.run import run
from repro.training.sharding import Sharding, mesh, shard
from repro.training.strategy import FSDP2
from tests.conftest import SMALL
from tests.training.conftest import CALM, Numbers, assert_nearly_equal


@pytest.fixture
def sharded(monkeypatch, one_process_group):
    """Has a CPU train by FSDP2 as a GPU does."""
    monkeypatch.setattr(building, "BareModel", lambda fill: FSDP2(fill, Sharding(ranks=1)))


@pytest.mark.parametrize("activation", ["polynorm", "swiglu"])
def test_fsdp2_gives_the_losses_of_the_bare_model_to_the_bit(small, train, activation, request):
    bare = train(small(activation=activation), "bare")
    request.getfixturevalue("sharded")
    assert train(small(activation=activation), "sharded") == bare


def test_a_checkpoint_of_the_bare_model_goes_on_under_fsdp2(small, train, prepared, tmp_path, at_step, request):
    whole = train(small(), "whole")
    at_step(13, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Preempted):
        run(small(), machine("cpu"), prepared, seed=0, folder=tmp_path / "run")
    request.getfixturevalue("sharded")
    run(small(), machine("cpu"), prepared, seed=0, folder=tmp_path / "run")
    assert Numbers.of(tmp_path / "run") == whole


def test_coefficients_stay_in_float32_where_products_are_in_bfloat16(small, one_process_group):
    recipe = small()
    with torch.device("meta"):
        decoder = models.from_recipe(recipe.model)
    shard(decoder, mesh("cpu", 1, 1), Sharding(ranks=1, precision="bf16"))
    decoder.to_empty(device="cpu")
    initialise(decoder, 0, distribution(recipe.model))
    seen = {}

    def look(name):
        return lambda module, inputs: seen.update({name: (next(module.parameters()).dtype, inputs[0].dtype)})

    decoder.layers[0].mlp.act_fn.register_forward_pre_hook(look("activation"))
    decoder.layers[0].mlp.down_proj.register_forward_pre_hook(look("down_proj"))
    loss, _, _ = decoder(torch.zeros(1, 8, dtype=torch.long), torch.zeros(1, 8, dtype=torch.long))
    loss.backward()
    assert seen == {"activation": (torch.float32, torch.bfloat16), "down_proj": (torch.bfloat16, torch.bfloat16)}
    assert loss.dtype == decoder.layers[0].mlp.act_fn.coeff.dtype == torch.float32
    assert decoder.layers[0].mlp.act_fn.coeff.grad.full_tensor().abs().sum() > 0


TWO_RANKS = """
import json, os
from pathlib import Path
from repro.data.manifest import Prepared
from repro.recipe import load, machine
from repro.training.run import run
recipe = load("dense-smoke-polynorm", json.loads(os.environ["OVERRIDES"]))
cpu = machine("cpu").model_copy(update={"devices": 2})
run(recipe, cpu, Prepared.open(Path(os.environ["PREPARED"])), seed=0, folder=Path(os.environ["FOLDER"]))
"""


def test_two_ranks_train_as_one_and_their_checkpoint_goes_on_alone(small, prepared, tmp_path, train):
    whole = train(small(CALM), "whole")
    script, folder = tmp_path / "two_ranks.py", tmp_path / "run"
    script.write_text(TWO_RANKS)
    overrides = [f"{key}={value}" for key, value in (SMALL | CALM).items()]
    environment = os.environ | {
        "OVERRIDES": json.dumps(overrides),
        "PREPARED": str(prepared.folder),
        "FOLDER": str(folder),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", script]
    ended = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert_nearly_equal(Numbers.of(folder), whole)
    (folder / "result.json").unlink()
    newest = checkpoints.complete(folder / "checkpoints")[-1]
    assert len(list(newest.glob("*.distcp"))) == 2
    for file in newest.iterdir():
        file.unlink()
    newest.rmdir()
    assert_nearly_equal(train(small(CALM)), whole)
