"""A run that diverges is stopped, and what it came to is recorded as a result: once, and not begun again."""

import json
import os
import signal
from datetime import UTC, datetime

import numpy as np
import pytest
import torch

from repro.errors import Diverged, Preempted
from repro.recipe import machine
from repro.recipe.runs import read_metrics
from repro.training.language_model import LanguageModel
from repro.training.run import is_complete, run
from tests.training.conftest import Numbers


@pytest.fixture
def never_finite(monkeypatch):
    """From the second step on the loss is not a number."""
    training_step = LanguageModel.training_step

    def poisoned(self, batch):
        losses = training_step(self, batch)
        poison = float("nan") if self.trainer.global_step else 1
        return {name: value * poison if torch.is_tensor(value) else value for name, value in losses.items()}

    monkeypatch.setattr(LanguageModel, "training_step", poisoned)


def test_a_run_that_never_becomes_finite_is_stopped_and_what_it_came_to_is_recorded(
    small, prepared, tmp_path, never_finite
):
    with pytest.raises(Diverged, match="stopped at step 12: 11 steps in a row"):
        run(small(), machine("cpu"), prepared, seed=0, folder=tmp_path)
    assert is_complete(tmp_path)
    *_, last = read_metrics(tmp_path / "metrics.csv")
    assert {key: last[key] for key in ("step", "tokens", "loss", "grad_norm", "skipped_steps")} == {
        "step": "12",
        "tokens": "1536",
        "loss": "nan",
        "grad_norm": "nan",
        "skipped_steps": "11",
    }
    validation = float(np.load(tmp_path / "validation.npy")[-1].mean(dtype=np.float64))
    assert json.loads((tmp_path / "result.json").read_text(), parse_constant=pytest.fail) == {
        "steps": 12,
        "diverged_at": 2,
        "loss": None,
        "skipped_steps": 11,
        "validation_loss": validation,
        "date": datetime.now(UTC).date().isoformat(),
    }


def test_a_divergence_right_after_a_row_has_no_loss_to_tell_and_is_recorded(small, prepared, tmp_path, never_finite):
    recipe = small({"optim.guard.patience": 9})
    with pytest.raises(Diverged, match="stopped at step 11: 10 steps in a row"):
        run(recipe, machine("cpu"), prepared, seed=0, folder=tmp_path)
    *_, last = read_metrics(tmp_path / "metrics.csv")
    assert (last["step"], last["loss"], last["skipped_steps"]) == ("11", "", "10")
    assert json.loads((tmp_path / "result.json").read_text())["diverged_at"] == 2


def test_a_run_that_diverged_is_not_begun_again(small, prepared, tmp_path, never_finite, monkeypatch):
    with pytest.raises(Diverged):
        run(small(), machine("cpu"), prepared, seed=0, folder=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    monkeypatch.setattr(LanguageModel, "training_step", None)
    told = r"already diverged, from step 2 on: .*; with another lr it is another run, and without its result"
    with pytest.raises(Diverged, match=told):
        run(small(), machine("cpu"), prepared, seed=0, folder=tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_a_run_that_diverges_after_a_resume_is_that_of_the_uninterrupted_one(
    small, prepared, tmp_path, never_finite, at_step
):
    with pytest.raises(Diverged):
        run(small(), machine("cpu"), prepared, seed=0, folder=tmp_path / "whole")
    at_step(7, lambda: os.kill(os.getpid(), signal.SIGINT))
    for error in (Preempted, Diverged):
        with pytest.raises(error):
            run(small(), machine("cpu"), prepared, seed=0, folder=tmp_path / "interrupted")
    assert Numbers.of(tmp_path / "interrupted").rows == Numbers.of(tmp_path / "whole").rows
