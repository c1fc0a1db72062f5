"""A run: once finished it stays, interrupted it goes on as if nothing had been, and its folder is its own."""

import dataclasses
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

from repro.errors import Preempted, RunError
from repro.recipe import machine
from repro.training import checkpoints, writing
from repro.training.language_model import LanguageModel
from repro.training.run import is_complete, run
from tests.conftest import SMALL
from tests.training.conftest import CALM, assert_nearly_equal


def test_a_run_leaves_what_the_design_lists(small, train, tmp_path):
    train(small())
    folder = tmp_path / "run"
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} == {
        "recipe.yaml",
        "origin.yaml",
        "machine.yaml",
        "versions.json",
        "tokenizer.json",
        "vocabulary.json",
        "metrics.csv",
        "validation.npy",
        "tensorboard",
        "checkpoints",
        "result.json",
    }
    assert yaml.safe_load((folder / "recipe.yaml").read_text())["model"]["activation"] == "polynorm"
    assert np.load(folder / "validation.npy").shape == (3, 32)
    assert json.loads((folder / "result.json").read_text())["steps"] == 24
    assert list((folder / "tensorboard").glob("events.*"))


def test_the_loss_falls(small, train):
    rows = train(small()).rows
    losses = [float(row[2]) for row in rows if row[2]]
    assert losses[-1] < losses[0] - 0.1


def test_a_finished_run_is_left_alone(small, train, tmp_path, monkeypatch):
    first = train(small())
    monkeypatch.setattr(LanguageModel, "training_step", None)  # training again would fail
    assert train(small()) == first


@pytest.mark.parametrize("workers", [0, 2], ids="{} workers".format)
@pytest.mark.parametrize("stop_at", [(7,), (10,), (16,), (23,), (3, 17)], ids=str)
def test_an_interrupted_run_equals_the_uninterrupted_one(small, train, stop_at, workers):
    recipe = small({"data.workers": workers})
    assert train(recipe, "interrupted", stop_at=stop_at) == train(recipe, "whole")


@pytest.mark.parametrize("workers", [0, 2], ids="{} workers".format)
def test_resuming_in_a_later_epoch_equals_the_uninterrupted_run(small, train, prepared, workers):
    epoch = prepared.tokens("train") // 128 + 1
    recipe = small(
        {
            "data.workers": workers,
            "budget.tokens": 128 * (epoch + 6),
            "validation.every": 1000,
            "checkpoints.every": 1000,
        }
    )
    stop = epoch - 2, epoch + 3
    assert train(recipe, "interrupted", stop_at=stop) == train(recipe, "whole")


def test_accumulated_micro_batches_make_the_same_steps(small, train):
    parts = train(small(CALM | {"layout.micro_batch": 2}), "parts")
    assert_nearly_equal(parts, train(small(CALM), "whole"))
    assert train(small(CALM | {"layout.micro_batch": 2}), "interrupted", stop_at=(5,)) == parts


@pytest.mark.parametrize(("before", "after"), [(8, 2), (1, 4)])
def test_a_run_goes_on_with_other_micro_batches(small, prepared, train, tmp_path, at_step, before, after):
    at_step(13, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Preempted):
        run(small(CALM | {"layout.micro_batch": before}), machine("cpu"), prepared, seed=0, folder=tmp_path / "run")
    other = train(small(CALM | {"layout.micro_batch": after}), "run", stop_at=(18,))
    assert_nearly_equal(other, train(small(CALM), "whole"))


def test_randomness_inside_a_step_survives_a_resume(small, train):
    recipe = small(activation="rrelu")
    assert train(recipe, "interrupted", stop_at=(9,)) == train(recipe, "whole")


def test_a_seed_decides_weights_and_order(small, train):
    assert train(small(), "again", seed=1) == train(small(), "one", seed=1)
    assert train(small(), "two", seed=2).rows[0] != train(small(), "one", seed=1).rows[0]


def test_a_step_that_is_not_finite_is_skipped_and_the_run_ends_finite(small, train, monkeypatch):
    training_step = LanguageModel.training_step

    def poisoned(self, batch):
        losses = training_step(self, batch)
        poison = float("nan") if self.trainer.global_step == 4 else 1
        return losses | {"loss": losses["loss"] * poison}

    monkeypatch.setattr(LanguageModel, "training_step", poisoned)
    rows = train(small()).rows
    assert [row[-1] for row in rows if row[-1]][-1] == "1"
    assert np.isfinite([float(row[3]) for row in rows if row[3]]).all()


def test_a_folder_in_use_is_refused(small, prepared, tmp_path):
    hold = "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.lockf(f, fcntl.LOCK_EX); print(1, flush=True); input()"
    command = [sys.executable, "-c", hold, tmp_path / ".lock"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(RunError, match="is in use by another process; wait for it"):
            run(small(), machine("cpu"), prepared, seed=0, folder=tmp_path)
        other.communicate(b"\n")


def test_ctrl_c_of_a_terminal_reaches_the_workers_and_the_step_is_still_saved(
    small, prepared, train, tmp_path, at_step
):
    """A terminal signals the whole group; with micro-batches of one the step needs its workers to the end."""
    recipe = small({"data.workers": 2, "layout.micro_batch": 1})
    whole = train(recipe, "whole")

    def as_a_terminal_does():
        workers = [child.pid for child in multiprocessing.active_children()]
        assert len(workers) == 2
        for pid in [*workers, os.getpid()]:
            os.kill(pid, signal.SIGINT)

    at_step(7, as_a_terminal_does)
    with pytest.raises(Preempted, match="stopped after step 7 of 24, which is saved"):
        run(recipe, machine("cpu"), prepared, seed=0, folder=tmp_path / "run")
    assert train(recipe) == whole


def test_a_folder_with_other_data_is_refused(small, prepared, train, tmp_path):
    train(small())
    (tmp_path / "run" / "result.json").unlink()
    versions = tmp_path / "run" / "versions.json"
    versions.write_text(versions.read_text().replace(prepared.manifest.fingerprint, "0" * 12))
    with pytest.raises(RunError, match="was trained on data with fingerprint 000000000000"):
        run(small(), machine("cpu"), prepared, seed=0, folder=tmp_path / "run")


@pytest.mark.parametrize("content", ["x", "[]", ""])
def test_a_damaged_file_of_versions_is_told_in_a_line(content, small, prepared, train, tmp_path):
    train(small())
    path = tmp_path / "run" / "versions.json"
    path.write_text(content)
    with pytest.raises(RunError) as told:
        run(small(), machine("cpu"), prepared, seed=0, folder=tmp_path / "run")
    assert str(told.value) == f"{path} is damaged: expected the versions that a run was made with, as JSON"


def test_a_run_that_was_imported_is_not_trained_further(small, prepared, train, tmp_path):
    train(small())
    (tmp_path / "run" / "versions.json").write_text("{}")
    with pytest.raises(RunError, match="run was imported, and is not trained further; use another --out"):
        run(small(), machine("cpu"), prepared, seed=0, folder=tmp_path / "run")


def test_a_finished_run_on_other_data_is_refused(small, prepared, train, tmp_path):
    train(small())
    other = dataclasses.replace(prepared, manifest=prepared.manifest.model_copy(update={"fingerprint": "0" * 12}))
    with pytest.raises(RunError, match=f"fingerprint {prepared.fingerprint}, and .* now has 000000000000; use another"):
        run(small(), machine("cpu"), other, seed=0, folder=tmp_path / "run")


def test_a_checkpoint_of_another_recipe_is_refused(small, prepared, train, tmp_path):
    train(small(), "one")
    other = small({"model.d_ff": 96})
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "checkpoints").rename(tmp_path / "two" / "checkpoints")
    with pytest.raises(RunError, match="is a checkpoint of another recipe"):
        run(other, machine("cpu"), prepared, seed=0, folder=tmp_path / "two")


def test_a_disk_that_fills_up_ends_the_run_in_a_line_and_keeps_the_last_checkpoint(
    small, prepared, train, tmp_path, monkeypatch
):
    def full(state, *, checkpoint_id, no_dist):
        if checkpoint_id.name.endswith("20"):
            checkpoint_id.mkdir()
            (checkpoint_id / "half").write_text("")
            raise OSError(28, "No space left on device")
        save(state, checkpoint_id=checkpoint_id, no_dist=no_dist)

    save = writing.save
    monkeypatch.setattr(writing, "save", full)
    with pytest.raises(RunError, match=r"cannot write the checkpoint .*step-00000020: .*No space left"):
        run(small(), machine("cpu"), prepared, seed=0, folder=tmp_path / "run")
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000010"]
    monkeypatch.undo()
    assert train(small()) == train(small(), "whole")


def test_what_a_killed_save_left_is_swept_up_and_never_taken_for_a_checkpoint(small, train, tmp_path):
    folder = tmp_path / "run" / "checkpoints"
    for name in (".writing-step-00000007", ".removing-step-00000003", "step-00000010"):
        (folder / name).mkdir(parents=True)
    assert train(small()) == train(small(), "whole")
    assert sorted(path.name for path in folder.iterdir()) == ["step-00000020", "step-00000024"]


def test_a_disk_without_room_is_said_to_be_full(small, prepared, tmp_path, monkeypatch):
    def full(state, **options):
        raise RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 704 vs 598")  # torch's own words

    monkeypatch.setattr(writing, "save", full)
    monkeypatch.setattr(checkpoints.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(2**30, 2**30, 0))
    with pytest.raises(RunError, match="step-00000010: no space left on the disk; earlier checkpoints are untouched"):
        run(small(), machine("cpu"), prepared, seed=0, folder=tmp_path)


def test_machines_of_several_nodes_ask_for_a_launch(small, prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    with pytest.raises(RunError, match=r"'a100-4x8' has 32 devices on 4 nodes, but 1 process.*`repro launch` prints"):
        run(small(), machine("a100-4x8"), prepared, seed=0, folder=tmp_path)


def test_a_machine_with_more_gpus_than_there_are_says_so(small, prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(RunError, match="machine 'gpu-x8' has 8 GPUs a node, and torch finds 2 here"):
        run(small(), machine("gpu-x8"), prepared, seed=0, folder=tmp_path)


def test_a_machine_with_a_gpu_needs_one(small, prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RunError, match="machine 'gpu' has GPUs, and torch finds none here: `repro doctor`"):
        run(small(), machine("gpu"), prepared, seed=0, folder=tmp_path)


def test_sigterm_saves_as_ctrl_c_does(small, prepared, tmp_path, at_step):
    at_step(5, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Preempted, match="stopped after step 5 of 24, which is saved; the same command goes on"):
        run(small(), machine("cpu"), prepared, seed=0, folder=tmp_path)
    assert [path.name for path in checkpoints.complete(tmp_path / "checkpoints")] == ["step-00000005"]


def test_a_second_ctrl_c_stops_at_once(small, prepared, tmp_path, at_step):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    at_step(15, twice)
    with pytest.raises(Preempted, match="stopped at once; the same command goes on from the last checkpoint"):
        run(small(), machine("cpu"), prepared, seed=0, folder=tmp_path)
    assert [path.name for path in checkpoints.complete(tmp_path / "checkpoints")] == ["step-00000010"]


def test_a_killed_process_leaves_nothing_that_a_later_run_mistakes_for_complete(small, train, prepared, tmp_path):
    recipe, folder = small(), tmp_path / "killed"
    overrides = [f"{key}={value}" for key, value in SMALL.items()]
    script = f"""
import os, signal
from pathlib import Path
from repro.data.manifest import Prepared
from repro.recipe import load, machine
from repro.training.language_model import LanguageModel
from repro.training.run import run
step = LanguageModel.training_step
def killed(self, batch):
    if self.trainer.global_step == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch)
LanguageModel.training_step = killed
recipe = load("dense-smoke-polynorm", {overrides})
run(recipe, machine("cpu"), Prepared.open(Path({str(prepared.folder)!r})), seed=0, folder=Path({str(folder)!r}))
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    assert not is_complete(folder)
    assert train(recipe, "killed") == train(recipe, "whole")
