"""A run goes on on another number of ranks, in the middle of an epoch, as if nothing had been.

The same number gives the same weights to the bit; only the loss in the row that the stop cut in two begins with a mean
over ranks, which rounds. Another number adds the same numbers in another order.
"""

import functools
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from repro.data.order import windows
from repro.data.text import TokenWindows
from repro.errors import Preempted
from repro.recipe import load, machine
from repro.recipe.runs import read_metrics
from repro.training import checkpoints, text
from repro.training.language_model import LanguageModel
from repro.training.run import run
from tests.conftest import EXPERTS, SMALL
from tests.training.conftest import CALM, Numbers, assert_nearly_equal
from tests.training.ranks import World, in_turn, on_ranks
from tests.training.test_image_classifier import tiny
from tests.training.test_replicated import AVERAGED, IMAGES, equal
from tests.training.test_replicated import state as state_of_pictures

SHORT = SMALL | CALM | {"budget.tokens": 2048}  # 16 steps of 8 sequences of 16 tokens
FAMILIES = {  # dense: of 8 sequences a step 2 at a time, twice on 2 ranks, once on 4 and four times on 1
    "dense": SHORT | {"layout.micro_batch": 2},
    "moe": SHORT | EXPERTS | {"balance.scope": "global"},  # over what all devices see at a time: the whole step
}
PICTURES = tiny(AVERAGED | {"layout.strategy": "ddp", "layout.micro_batch": 8})  # 8 at a time on 1 rank as on 2
FIRST, SECOND = 7, 13  # steps to stop in, where no row, evaluation or checkpoint is due


def recipe(family):
    return load(f"{family}-smoke-polynorm", [f"{key}={value}" for key, value in FAMILIES[family].items()])


def noting(patch):
    """Has each rank write down step and windows of each micro-batch that it trains on; ``patch`` is ``setattr``."""
    read, train = TokenWindows.__getitems__, LanguageModel.training_step

    def reading(self, indices):
        batch = read(self, indices)
        batch.windows = np.asarray(indices).tolist()  # it is read before it is trained on
        return batch

    def training(self, batch):
        name = f"windows-{self.trainer.world_size}-{self.trainer.global_rank}"
        with (Path(self.trainer.default_root_dir) / name).open("a") as file:
            print(json.dumps([self.trainer.global_step, self.trainer.global_rank, batch.windows]), file=file)
        return train(self, batch)

    patch(TokenWindows, "__getitems__", reading)
    patch(LanguageModel, "training_step", training)


def stopped(step, module, *arguments, **options):
    """A run whose last rank gets a signal in ``step``."""
    train, signals = module.training_step, [signal.SIGTERM]

    @functools.wraps(train)  # Lightning looks at what a step takes
    def told(self, *batch):
        place = self.trainer.global_step + 1, self.trainer.global_rank + 1
        if place == (step, self.trainer.world_size) and signals:
            os.kill(os.getpid(), signals.pop())
        return train(self, *batch)

    module.training_step = told
    with pytest.raises(Preempted, match=f"stopped after step {step} of"):
        run(*arguments, **options)
    module.training_step = train


HEAD = """
import shutil
from repro.data.manifest import Prepared
from repro.training import checkpoints
from repro.training.image_classifier import ImageClassifier
from repro.training.language_model import LanguageModel
from tests.training.test_resume_ranks import FIRST, IMAGES, PICTURES, SECOND, noting, recipe, stopped
noting(setattr)
prepared = Prepared.open(Path(os.environ["PREPARED"]))
"""
TWO = """
for family in ("dense", "moe"):
    run(recipe(family), cpus, prepared, seed=0, folder=Path(f"whole {family}"))
    stopped(FIRST, LanguageModel, recipe(family), cpus, prepared, seed=0, folder=Path(family))
run(PICTURES, cpus, IMAGES, seed=0, folder=Path("whole pictures"))
stopped(FIRST, ImageClassifier, PICTURES, cpus, IMAGES, seed=0, folder=Path("pictures"))
if rank == 0:
    for then in ("2 2", "2 1", "2 4", "2 4 1"):
        shutil.copytree("dense", then)
dist.barrier()
run(recipe("dense"), cpus, prepared, seed=0, folder=Path("2 2"))
"""
FOUR = """
run(recipe("dense"), cpus, prepared, seed=0, folder=Path("2 4"))
stopped(SECOND, LanguageModel, recipe("dense"), cpus, prepared, seed=0, folder=Path("2 4 1"))
"""
CRASH = """
processes = [None] * ranks
dist.all_gather_object(processes, os.getpid())
from repro.training.writing import Writing
commit = Writing._commit

def killed(self, progress):
    if rank == 0 and self.path.name == checkpoints.name(16):
        for process in reversed(processes):
            os.kill(process, signal.SIGKILL)
    commit(self, progress)

Writing._commit = killed
run(recipe("dense"), cpus, prepared, seed=0, folder=Path("crash"))
"""
AFTER = """
if rank == 0:
    left = {path.name for path in Path("crash/checkpoints").iterdir()}
    assert left == {"step-00000010", ".writing-step-00000016"}, left
dist.barrier()
run(recipe("dense"), cpus, prepared, seed=0, folder=Path("crash"))
"""
WORLDS = [World(2, TWO), World(4, FOUR), World(2, CRASH, end=-signal.SIGKILL), World(2, AFTER)]


@pytest.fixture(scope="module")
def runs(prepared, tmp_path_factory):
    """A folder of runs, whole ones and those that went on as their names say."""
    folder = tmp_path_factory.mktemp("runs")
    worlds = [World(world.ranks, HEAD + world.body, world.end) for world in WORLDS]
    in_turn(worlds, folder, PREPARED=str(prepared.folder))
    with pytest.MonkeyPatch.context() as patch:
        noting(patch.setattr)
        for name in ("2 1", "2 4 1"):
            run(recipe("dense"), machine("cpu"), prepared, seed=0, folder=folder / name)
        run(recipe("moe"), machine("cpu"), prepared, seed=0, folder=folder / "moe")
    run(PICTURES, machine("cpu"), IMAGES, seed=0, folder=folder / "pictures")
    return folder


def state(run):
    """Weights and moments at the end of a dense run."""
    module = text.module(recipe("dense")).to_empty(device="cpu")
    optimizer = module.configure_optimizers()["optimizer"]
    checkpoints.read(checkpoints.complete(run / "checkpoints")[-1], module, optimizer)
    kept = checkpoints.state_of(module, optimizer)["optimizer"]["state"]
    moments = {f"{name} {moment}": tensor for name, values in kept.items() for moment, tensor in values.items()}
    return moments | dict(module.named_parameters())


def trained_on(run):
    """The windows that a run's ranks trained on, step by step and in a step rank by rank."""
    lines = [json.loads(line) for file in run.glob("windows-*") for line in file.read_text().splitlines()]
    return [window for *_, own in sorted(lines, key=lambda line: line[:2]) for window in own]


def test_on_as_many_ranks_weights_and_moments_are_those_of_the_uninterrupted_run_to_the_bit(runs):
    assert equal(state(runs / "2 2"), state(runs / "whole dense"))
    ours, theirs = (Numbers.of(runs / name) for name in ("2 2", "whole dense"))
    assert ours.validation == theirs.validation
    loss = 2
    assert [row[:loss] + row[loss + 1 :] for row in ours.rows] == [row[:loss] + row[loss + 1 :] for row in theirs.rows]
    assert_nearly_equal(ours, theirs)


@pytest.mark.parametrize("name", ["2 1", "2 4", "2 4 1"])
def test_on_other_numbers_of_ranks_it_is_the_same_run(name, runs):
    assert_nearly_equal(Numbers.of(runs / name), Numbers.of(runs / "whole dense"))


@pytest.mark.parametrize("name", ["whole dense", "2 2", "2 1", "2 4", "2 4 1"])
def test_each_window_of_the_order_is_trained_on_once_and_counted(name, runs, prepared):
    n = len(TokenWindows(prepared, "train", 16))
    assert n > SECOND * 8, "no stop is at the end of an epoch"
    assert trained_on(runs / name) == windows(np.arange(16 * 8), n, 0).tolist()
    rows = read_metrics(runs / name / "metrics.csv")
    counted = {int(row["step"]): int(row["tokens"]) for row in rows if row["tokens"]}
    assert counted == {step: step * 8 * 16 for step in (1, 10, 16)}


def test_the_ranks_are_as_many_as_said(runs):
    assert sorted(path.name for path in (runs / "2 4 1").glob("windows-*")) == [
        "windows-1-0",
        *(f"windows-2-{rank}" for rank in range(2)),
        *(f"windows-4-{rank}" for rank in range(4)),
    ]


def test_a_mixture_of_experts_goes_on_in_one_process(runs):
    assert_nearly_equal(Numbers.of(runs / "moe"), Numbers.of(runs / "whole moe"))


def test_a_resnet_by_ddp_goes_on_in_one_process_that_takes_both_micro_batches(runs):
    """To the bit, but for the statistics of norms: one process follows micro-batches one after the other."""
    (weights, _, momenta), (their_weights, _, their_momenta) = map(
        state_of_pictures, (runs / "pictures", runs / "whole pictures")
    )
    assert equal(weights, their_weights)
    assert equal(momenta, their_momenta)


def test_a_crash_between_shards_and_commit_leaves_the_checkpoint_before_it_to_go_on_from(runs):
    assert Numbers.of(runs / "crash") == Numbers.of(runs / "whole dense")
    steps = [json.loads(line)[0] for line in (runs / "crash/windows-2-0").read_text().splitlines()]
    (again,) = (number for number in range(1, len(steps)) if steps[number] < steps[number - 1])
    assert (steps[again - 1], steps[again]) == (15, 10)


ONE_FAILS = """
import time
Path(f"process-{rank}").write_text(str(os.getpid()))
dist.barrier()
if rank == 1:
    raise ZeroDivisionError("the second rank's mistake")
time.sleep(600)
"""


def test_a_rank_that_fails_ends_the_others_and_says_why(tmp_path):
    with pytest.raises(AssertionError, match="ZeroDivisionError: the second rank's mistake"):
        on_ranks(2, ONE_FAILS, tmp_path)
    for rank in range(2):
        assert not Path(f"/proc/{(tmp_path / f'process-{rank}').read_text()}").exists()
