"""Processes of one run agree before they train, and end together: one line of the first, one exit code of all."""

import errno
import math
import os
import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop as TrainingEpochLoop

from repro.errors import DataError
from repro.recipe import load, runs
from repro.recipe.runs import read_metrics
from tests.training.processes import srun_s, start_all

NAME = "dense-smoke-polynorm"
SMALL = ["d_model=16", "d_ff=48", "budget.tokens=20480", "warmup_tokens=2048", "data.workers=0"]
SMALL += ["checkpoints.every=5", "validation.every=10", "validation.tokens=2048"]
COMMAND = ["run", NAME, *SMALL, "--on", "cpu-x2"]


@pytest.fixture
def start(tmp_path, stdlib):
    def started(first=COMMAND, second=COMMAND, **options):
        return start_all([first, second], tmp_path, **({"REPRO_DATA": stdlib, "OMP_NUM_THREADS": "1"} | options))

    return started


@pytest.fixture
def folder(tmp_path):
    return runs.folder(load(NAME, SMALL), 0, tmp_path / "runs")


def rows(folder):
    return read_metrics(folder / "metrics.csv")


def refuse(rank):
    """The second process finds no data."""
    from repro.training import start

    def absent(recipe):
        raise DataError("there is no corpus here")

    if rank == 1:
        start._data = absent


def fail_in_step_7(rank):
    """The second process finds its data altered in the middle of training."""
    from repro.training.language_model import LanguageModel

    training_step = LanguageModel.training_step

    def failing(self, batch):
        if rank == 1 and self.trainer.global_step == 6:
            raise DataError("shard 3 was altered")
        return training_step(self, batch)

    LanguageModel.training_step = failing


def fill_the_disk(rank):
    """The disk of the first process has no room for metrics after step 5."""
    from repro.training.metrics_file import MetricsFile

    log_metrics = MetricsFile.log_metrics

    def full(self, metrics, step=None):
        if step > 5:
            raise OSError(errno.ENOSPC, "No space left on device", "metrics.csv")
        log_metrics(self, metrics, step)

    MetricsFile.log_metrics = full


def see_nan_in_step_7(rank):
    """The second process computes a loss that is not a number."""
    from repro.training.language_model import LanguageModel

    training_step = LanguageModel.training_step

    def poisoned(self, batch):
        result = training_step(self, batch)
        if rank == 1 and self.trainer.global_step == 6:
            result["loss"] = result["loss"] * float("nan")
        return result

    LanguageModel.training_step = poisoned


def signal_in_step_7(rank):
    """The second process gets a signal."""
    from repro.training.language_model import LanguageModel

    training_step = LanguageModel.training_step

    def signalled(self, batch):
        if rank == 1 and self.trainer.global_step == 6:
            os.kill(os.getpid(), signal.SIGUSR1)
        return training_step(self, batch)

    LanguageModel.training_step = signalled


def fill_the_second_s_disk(rank):
    """The disk of the second process has no room for its part of the second checkpoint."""
    from torch.distributed.checkpoint.filesystem import FileSystemWriter

    write_data = FileSystemWriter.write_data

    def full(self, plan, planner):
        if rank == 1 and "step-00000010" in str(self.path):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_data(self, plan, planner)

    FileSystemWriter.write_data = full


def write_slowly(rank):
    """A checkpoint takes half a second, and its commit says which step was computed meanwhile."""
    from torch.distributed.checkpoint.filesystem import FileSystemWriter

    from repro.training.language_model import LanguageModel
    from repro.training.writing import Writing

    training_step, write_data, commit = LanguageModel.training_step, FileSystemWriter.write_data, Writing._commit
    step = [0]

    def counting(self, batch):
        step[0] = self.trainer.global_step
        return training_step(self, batch)

    def slow(self, plan, planner):
        time.sleep(0.5)
        return write_data(self, plan, planner)

    def telling(self, progress):
        with Path("committed").open("a") as file:
            file.write(f"{self.path.name} {step[0]}\n")
        commit(self, progress)

    LanguageModel.training_step, FileSystemWriter.write_data, Writing._commit = counting, slow, telling


def be_late(rank):
    """By the clock of the first process a checkpoint is long due."""
    from repro.training.callbacks.saving import Saving

    on_train_start = Saving.on_train_start

    def long_ago(self, trainer, module):
        on_train_start(self, trainer, module)
        self.saved_at = -1e9 if rank == 0 else 1e9

    Saving.on_train_start = long_ago


def see_nothing(rank):
    """The second process does not see what the first wrote."""
    from repro.training import checkpoints, resuming

    resuming.SEEN = 0.1
    if rank == 1:
        checkpoints.complete = lambda folder: []


def hurry(rank):
    """Nobody waits for long."""
    from repro.training import meeting

    meeting.TIMEOUT = timedelta(seconds=1)


def test_srun_s_processes_train_and_end_together(start, folder):
    assert [ended.code for ended in start(said=srun_s)] == [0, 0]
    assert rows(folder)[-1]["step"] == "20"


def test_a_signal_to_one_of_srun_s_processes_is_75_of_all(start, folder):
    first, second = start(said=srun_s, arrange=signal_in_step_7)
    assert (first.code, second.code) == (75, 75)
    told = "repro: stopped after step 7 of 20, which is saved; the same command goes on from there\n"
    assert (first.stderr, second.stderr) == (told, "")
    assert [path.name for path in (folder / "checkpoints").glob("step-*")] == ["step-00000005", "step-00000007"]


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ([*COMMAND, "lr=1e-4"], "ranks differ in what they train: rank 0 has dense-smoke-polynorm ("),
        ([*COMMAND, "--seed", "1"], "ranks differ in the seed: rank 0 has 0, rank 1 1; they need the same command"),
        ([*COMMAND, "layout.micro_batch=1"], "ranks differ in the layout: rank 0 has "),
        ([*COMMAND, "--out", "elsewhere"], "ranks differ in the run's folder: rank 0 has runs/"),
    ],
)
def test_processes_that_mean_different_runs_are_refused_before_they_train(start, folder, other, told):
    first, second = start(COMMAND, other)
    assert (first.code, second.code) == (2, 2)
    assert first.stderr.startswith(f"repro: {told}")
    assert (first.stderr.count("\n"), second.stderr) == (1, "")
    assert not folder.exists()


def test_a_mistake_that_all_make_is_told_once(start):
    first, second = start(*[[*COMMAND, "budget.tokens_per_step=192"]] * 2)
    assert (first.code, second.code) == (2, 2)
    assert "which the 2 devices of machine 'cpu-x2' cannot share evenly" in first.stderr
    assert (first.stderr.count("\n"), second.stderr) == (1, "")


@pytest.mark.parametrize(
    ("arrange", "told"),
    [(refuse, "rank 1: there is no corpus here"), (fail_in_step_7, "rank 1: shard 3 was altered")],
)
def test_what_fails_on_one_is_told_by_the_first_and_ends_all(start, arrange, told):
    first, second = start(arrange=arrange)
    assert (first.code, second.code) == (2, 2)
    assert (first.stderr, second.stderr) == (f"repro: {told}\n", "")


def test_a_full_disk_ends_all_in_a_line_and_keeps_the_checkpoint(start, folder):
    first, second = start(arrange=fill_the_disk)
    assert (first.code, second.code) == (2, 2)
    full = "cannot write metrics.csv: No space left on device; its complete checkpoints are untouched"
    assert (first.stderr, second.stderr) == (f"repro: {full}\n", "")
    assert [ended.code for ended in start()] == [0, 0]
    assert [row["step"] for row in rows(folder) if row["loss"]] == ["1", "10", "20"]


def test_a_disk_that_is_full_on_one_keeps_the_checkpoint_before(start, folder):
    first, second = start(arrange=fill_the_second_s_disk)
    assert (first.code, second.code) == (2, 2)
    assert first.stderr.startswith("repro: cannot write the checkpoint")
    assert "No space left on device; earlier checkpoints are untouched" in first.stderr
    assert (first.stderr.count("\n"), second.stderr) == (1, "")
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step-00000005"]


def test_steps_go_on_while_a_checkpoint_is_written(start, tmp_path):
    assert [ended.code for ended in start(arrange=write_slowly)] == [0, 0]
    first, *_ = (tmp_path / "committed").read_text().splitlines()
    name, meanwhile = first.split()
    assert name == "step-00000005"
    assert int(meanwhile) > 5


def test_when_a_checkpoint_is_due_the_first_decides(start, folder):
    seldom = ["checkpoints.every=1000" if word == "checkpoints.every=5" else word for word in COMMAND]
    assert [ended.code for ended in start(seldom, seldom, arrange=be_late)] == [0, 0]
    assert [path.name for path in sorted((folder / "checkpoints").iterdir())] == ["step-00000010", "step-00000020"]


def test_a_folder_that_is_not_shared_is_told(start):
    assert [ended.code for ended in start(arrange=signal_in_step_7, said=srun_s)] == [75, 75]
    first, second = start(arrange=see_nothing)
    assert (first.code, second.code) == (2, 2)
    told = "step-00000007 is not to be seen here; all nodes need to share the run's folder\n"
    assert first.stderr.startswith("repro: rank 1: runs/")
    assert first.stderr.endswith(told)


def test_who_started_torchrun_reads_why_it_ended_and_torchrun_does_not_start_it_again(start, tmp_path):
    first, second = start(arrange=refuse, REPRO_ENDED=str(tmp_path / "ended"))
    assert (first.code, second.code) == (0, 0)
    assert (first.stderr, second.stderr) == ("", "")
    assert (tmp_path / "ended").read_text() == "2 rank 1: there is no corpus here"


def test_what_is_not_a_number_on_one_is_skipped_by_all(start, folder):
    assert [ended.code for ended in start(arrange=see_nan_in_step_7)] == [0, 0]
    trained, validated = rows(folder)[-2:]
    assert (trained["step"], trained["skipped_steps"]) == ("20", "1")
    assert math.isfinite(float(validated["validation_loss"]))


def test_what_srun_did_not_say_is_told(tmp_path, stdlib):
    def untold(rank, size, port):
        return {key: value for key, value in srun_s(rank, size, port).items() if key != "SLURM_NTASKS_PER_NODE"}

    (alone,) = start_all([COMMAND], tmp_path, size=2, said=untold, REPRO_DATA=stdlib)
    assert alone.code == 2
    assert alone.stderr.startswith("repro: srun needs --ntasks-per-node, one for each device of a node: ")


def test_a_world_that_nobody_started_is_told(tmp_path, stdlib):
    (alone,) = start_all([COMMAND], tmp_path, said=lambda *_: {"WORLD_SIZE": "2"}, REPRO_DATA=stdlib)
    told = "repro: WORLD_SIZE is 2, and neither torchrun nor srun started this; unset it, or use them\n"
    assert (alone.code, alone.stderr) == (2, told)


def test_lightning_still_has_what_is_switched_off():
    assert callable(TrainingEpochLoop._broadcast_sigterm_tensor)


def test_a_meeting_to_which_not_all_come_ends_in_a_line(start, tmp_path, stdlib):
    (alone,) = start_all([COMMAND], tmp_path, size=2, arrange=hurry, REPRO_DATA=stdlib)
    assert alone.code == 2
    assert alone.stderr.startswith("repro: rank 0 of 2 waited")
    assert alone.stderr.count("\n") == 1
