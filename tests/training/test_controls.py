"""Whole runs of the two controls: interrupted or killed they go on to the bit, and what they measured is there once."""

import functools
import os
import signal

import pytest

from repro.data.images.glyphs import CLASSES, Glyphs
from repro.data.images.pictures import ImageSet
from repro.errors import Diverged, Preempted
from repro.recipe import load, machine
from repro.recipe.runs import read_metrics
from repro.training.callbacks.guard import GradientGuard
from repro.training.image_classifier import ImageClassifier
from repro.training.language_model import LanguageModel
from repro.training.run import run

RNN = {
    "vocab_size": 512,
    "d_model": 8,
    "context": 8,
    "warmup_tokens": 64,
    "tokens_per_step": 32,
    "budget.tokens": 32 * 24,
    "validation.tokens": 64,
    "validation.every": 8,
}
MLP = {"width": 8, "images": 62, "samples_per_step": 10, "epochs": 4, "validation.every": 1}
TINY = {"rnn": RNN, "mlp": MLP}  # both 24 steps
LAYERS = {"rnn": 2, "mlp": 3}
MEASURED = {"tokens_per_second", "samples_per_second", "memory_gb"}  # not computed


@pytest.fixture(params=["rnn", "mlp"])
def family(request):
    return request.param


@pytest.fixture
def train(prepared, tmp_path, family, monkeypatch):
    """Trains a tiny control; ``at`` is a step in which ``action`` happens."""
    data = (
        prepared if family == "rnn" else ImageSet("glyphs", CLASSES, Glyphs("train", 62), Glyphs("validation", 37), "0")
    )
    module = LanguageModel if family == "rnn" else ImageClassifier

    def train(name, activation="polynorm", *, at=0, action=None):
        settings = TINY[family] | {"checkpoints.every": 7}
        recipe = load(f"{family}-smoke-{activation}", [f"{key}={value}" for key, value in settings.items()])
        training_step = module.training_step

        @functools.wraps(training_step)  # Lightning looks at its arguments
        def acting(self, *batch):
            if self.trainer.global_step + 1 == at:
                action()
            return training_step(self, *batch)

        with monkeypatch.context() as patched:
            patched.setattr(module, "training_step", acting)
            run(recipe, machine("cpu"), data, seed=0, folder=tmp_path / name)
        return tmp_path / name

    return train


def numbers(folder):
    """All that a run computed, to be compared to the bit."""
    rows = read_metrics(folder / "metrics.csv")
    computed = [{key: value for key, value in row.items() if key not in MEASURED} for row in rows]
    return computed, (folder / "magnitudes.csv").read_text(), (folder / "validation.npy").read_bytes()


def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("step", [5, 10, 16])
def test_an_interrupted_run_equals_the_uninterrupted_one(train, step):
    whole = numbers(train("whole"))
    with pytest.raises(Preempted, match=f"stopped after step {step} of 24"):
        train("interrupted", at=step, action=ctrl_c)
    assert numbers(train("interrupted")) == whole


def test_a_run_that_dies_after_a_row_goes_on_from_the_checkpoint_before_it_and_writes_no_row_twice(train):
    whole = numbers(train("whole"))

    def dies():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train("died", at=12, action=dies)
    assert numbers(train("died")) == whole


def test_the_size_of_what_leaves_each_activation_is_recorded_and_the_largest_is_the_metrics_files(train, family):
    folder = train("run")
    sizes = read_metrics(folder / "magnitudes.csv")
    assert [row.pop("step") for row in sizes] == [str(step) for step in range(1, 25)]
    assert all(list(row) == [f"layers.{i}.act" for i in range(LAYERS[family])] for row in sizes)
    largest = [row["largest_magnitude"] for row in read_metrics(folder / "metrics.csv") if row["largest_magnitude"]]
    assert [max(row.values(), key=float) for row in sizes] == largest


def test_of_a_run_that_diverges_the_magnitudes_stay(train, tmp_path, monkeypatch):
    monkeypatch.setattr(GradientGuard, "_sound", lambda self: False)
    with pytest.raises(Diverged, match="stopped at step 11"):
        train("run")
    assert [row["step"] for row in read_metrics(tmp_path / "run" / "magnitudes.csv")] == [
        str(step) for step in range(1, 11)
    ]
    assert [row["step"] for row in read_metrics(tmp_path / "run" / "metrics.csv")][-1] == "11"
