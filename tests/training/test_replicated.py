"""Image classifiers whole on each rank and sharded: the same model, whose checkpoints go on under either."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

from repro.data.images.batches import ImageData
from repro.data.images.glyphs import CLASSES, Glyphs
from repro.data.images.pictures import ImageSet
from repro.errors import DataError
from repro.recipe import load, machine
from repro.recipe.layout import Fit
from repro.training import build as building
from repro.training import checkpoints, pictures
from repro.training.replicated import Replicated
from repro.training.run import run
from repro.training.sharding import Sharding
from repro.training.strategy import FSDP2
from tests.training.test_image_classifier import numbers, tiny

IMAGES = ImageSet("a few glyphs", CLASSES, Glyphs("train", 128), Glyphs("validation", 37), "0" * 16)
AVERAGED = {"optim.ema": 0.8, "optim.clip": 100.0, "data.mixup": 0.2}
PERCEPTRON = ["width=8", "images=128", "samples_per_step=16", "epochs=2", "validation.every=1", "checkpoints.every=6"]
STRATEGIES = {"ddp": Replicated, "fsdp2": lambda fill: FSDP2(fill, Sharding(ranks=1))}


def trained(recipe, folder):
    run(recipe, machine("cpu"), IMAGES, seed=0, folder=folder)
    return numbers(folder)


@pytest.fixture
def under(monkeypatch, request):
    """Has one process on a CPU train by a strategy of GPUs."""

    def arrange(strategy):
        request.getfixturevalue("one_process_group")
        monkeypatch.setattr(building, "BareModel", STRATEGIES[strategy])

    return arrange


@pytest.mark.parametrize("recipe", [tiny(AVERAGED), load("mlp-smoke-polynorm", PERCEPTRON)], ids=lambda r: r.family)
def test_one_process_gives_the_numbers_of_the_bare_model_to_the_bit(recipe, under, tmp_path):
    bare = trained(recipe, tmp_path / "bare")
    for strategy in STRATEGIES:
        under(strategy)
        assert trained(recipe, tmp_path / strategy) == bare, strategy


class Counting(lightning.Callback):
    """Counts the all-reduces of gradients."""

    def __init__(self):
        self.number = 0

    def on_train_start(self, trainer, pl_module):
        trainer.strategy.model.register_comm_hook(None, self.reduce)

    def reduce(self, state, bucket):
        self.number += 1
        return allreduce_hook(None, bucket)


def all_reduces(folder, monkeypatch, accumulation):
    """Of a run of eight steps, whose gradient fits in one bucket."""
    monkeypatch.setattr(building.layout, "fit", lambda *_: Fit(16 // accumulation, accumulation))
    recipe = tiny({"budget.epochs": 1})
    training = building.build(recipe, machine("cpu"), IMAGES, seed=0, folder=folder, loggers=[])
    counting = Counting()
    training.trainer.callbacks.append(counting)
    training.fit()
    return counting.number


def test_only_the_last_micro_batch_of_a_step_communicates(under, monkeypatch, tmp_path):
    under("ddp")
    assert [all_reduces(tmp_path / str(times), monkeypatch, times) for times in (1, 4)] == [8, 8]


def test_a_run_that_fails_before_its_weights_exist_says_why(under, monkeypatch, tmp_path):
    def fail(self, stage):
        raise DataError("the images are gone")

    under("ddp")
    monkeypatch.setattr(ImageData, "setup", fail)
    with pytest.raises(DataError, match=r"^the images are gone$"):
        trained(tiny(), tmp_path)


TWO_RANKS = """
import os
from pathlib import Path
import torch.distributed as dist
from repro.recipe import machine
from repro.training.run import run
from tests.training.test_image_classifier import tiny
from tests.training.test_replicated import AVERAGED, IMAGES, RUNS, cut

rank = int(os.fork() == 0)
os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "two ranks"}
dist.init_process_group("gloo", init_method=f"file://{Path('store').absolute()}", rank=rank, world_size=2)
cpu = machine("cpu").model_copy(update={"devices": 2})
for strategy, name, goes_on_from in RUNS:
    if goes_on_from and rank == 0:
        cut(Path(goes_on_from), Path(name))
    dist.barrier()
    run(tiny(AVERAGED | {"layout.strategy": strategy}), cpu, IMAGES, seed=0, folder=Path(name))
dist.destroy_process_group()
if rank == 0:
    assert os.wait()[1] == 0
"""
RUNS = [
    ("ddp", "ddp", None),
    ("fsdp2", "fsdp2", None),
    ("ddp", "ddp after bare", "bare"),
    ("fsdp2", "fsdp2 after ddp", "ddp"),
    ("ddp", "ddp after fsdp2", "fsdp2"),
]


def cut(run, copy):
    """A copy of a finished run as it was when it was three quarters through."""
    shutil.copytree(run, copy)
    (copy / "result.json").unlink()
    checkpoints.remove(checkpoints.complete(copy / "checkpoints")[-1])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of runs: one process that takes two micro-batches a step, then :data:`RUNS` on two ranks."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building.layout, "fit", lambda *_: Fit(8, 2))
        trained(tiny(AVERAGED), folder / "bare")
    (folder / "two_ranks.py").write_text(TWO_RANKS)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "two_ranks.py"]
    ended = subprocess.run(command, env=environment, cwd=folder, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return folder


def state(run):
    """Weights and averages, statistics of norms, and momenta at the end of a run."""
    module = pictures.module(tiny(AVERAGED), seed=0).to_empty(device="cpu")
    optimizer = module.configure_optimizers()["optimizer"]
    checkpoints.read(checkpoints.complete(run / "checkpoints")[-1], module, optimizer)
    kept = checkpoints.state_of(module, optimizer)["optimizer"]["state"]
    momenta = {name: values["momentum_buffer"] for name, values in kept.items()}
    return dict(module.named_parameters()), dict(module.named_buffers()), momenta


def equal(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def logged(run):
    """Loss, learning rate and gradient's norm."""
    return [[float(row[column] or 0) for column in (1, 5, 6)] for row in numbers(run)[0]]


NAMES = [name for _, name, _ in RUNS]


@pytest.mark.parametrize("name", NAMES)
def test_two_ranks_train_as_one_process_that_takes_their_micro_batches(runs, name):
    """Weights to the bit: halving is exact, and two summands have one order. Logged sums may have another one."""
    (weights, _, momenta), (their_weights, _, their_momenta) = state(runs / name), state(runs / "bare")
    assert equal(weights, their_weights)
    assert equal(momenta, their_momenta)
    np.testing.assert_allclose(logged(runs / name), logged(runs / "bare"), rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in NAMES if "bare" not in name])
def test_ranks_share_the_statistics_of_their_norms_and_validate_alike_under_both(runs, name):
    """Not as one process does, which follows micro-batches one after the other."""
    (_, statistics, _), (_, their_statistics, _) = state(runs / name), state(runs / "ddp")
    assert equal(statistics, their_statistics)
    assert numbers(runs / name)[1] == numbers(runs / "ddp")[1]


@pytest.mark.parametrize(("name", "start"), [(name, start) for _, name, start in RUNS if start])
def test_what_equals_the_whole_run_went_on_from_the_checkpoint_of_another_strategy(runs, name, start):
    ours, theirs = (runs / run / "checkpoints/step-00000012/progress.pt" for run in (name, start))
    assert ours.stat().st_mtime_ns == theirs.stat().st_mtime_ns
