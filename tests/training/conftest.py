"""Runs of the small recipe, interrupted where a test asks for it."""

import dataclasses
import os
import signal

import numpy as np
import pytest
import torch

from repro.data.manifest import TOKENIZER
from repro.data.preparing import parallel
from repro.errors import Preempted
from repro.recipe import machine
from repro.recipe.runs import read_metrics
from repro.training.language_model import LanguageModel
from repro.training.run import run
from tests.data.written import in_place, json_lines, prepare, texts, written


@dataclasses.dataclass(frozen=True)
class Numbers:
    """All that a run computed, to be compared to the bit."""

    rows: tuple
    validation: bytes

    @classmethod
    def of(cls, folder):
        columns = ("step", "tokens", "loss", "validation_loss", "lr", "grad_norm", "skipped_steps")
        rows = tuple(tuple(row[c] for c in columns) for row in read_metrics(folder / "metrics.csv"))
        return cls(rows, np.load(folder / "validation.npy").tobytes())


CALM = {"optim.lr": 1e-3, "optim.min_lr": 1e-4}  # rounding stays rounding: at the smoke's rate it grows to a percent


def assert_nearly_equal(ours, theirs):
    """Two runs that add the same numbers in another order; 24 steps were seen to differ by 1e-7."""
    ours, theirs = (np.array([[float(x or 0) for x in row] for row in numbers.rows]) for numbers in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.fixture(scope="session")
def stdlib(tmp_path_factory):
    """Where `repro run` prepares its data, for the session."""
    return os.environ.get("REPRO_DATA") or str(tmp_path_factory.mktemp("data"))


@pytest.fixture
def one_process_group():
    before = set(os.environ)
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()
    for name in set(os.environ) - before:  # Lightning's DDP tells processes that it might start of their group
        del os.environ[name]


@pytest.fixture
def at_step(monkeypatch):
    """Does something while a given optimizer step is computed."""

    def arrange(step, action):
        training_step = LanguageModel.training_step
        actions = [action]

        def acting(self, batch):
            if self.trainer.global_step + 1 == step and actions:
                actions.pop()()
            return training_step(self, batch)

        monkeypatch.setattr(LanguageModel, "training_step", acting)

    return arrange


@pytest.fixture
def train(prepared, tmp_path, at_step):
    """Trains a recipe and returns its numbers; ``stop_at`` sends Ctrl-C in those steps and starts it again."""

    def train(recipe, name="run", *, seed=0, stop_at=()):
        folder = tmp_path / name
        for step in stop_at:
            at_step(step, lambda: os.kill(os.getpid(), signal.SIGINT))
            with pytest.raises(Preempted, match=f"stopped after step {step} of"):
                run(recipe, machine("cpu"), prepared, seed=seed, folder=folder)
        run(recipe, machine("cpu"), prepared, seed=seed, folder=folder)
        return Numbers.of(folder)

    return train


SUBSETS = {"home": 60, "work": 40}  # documents


def make(folder, tokenizer, seed=0):
    """Prepare a set of two subsets, called letters, with the tokenizer of a run."""
    files = {f"{subset}/a.jsonl": json_lines(texts(seed + n, n), "text") for subset, n in SUBSETS.items()}
    path = written(folder / "letters", files)
    prepare(f"path={path}", f"tokenizer={tokenizer}", "held_out=2", "name=letters")


@pytest.fixture(scope="session")
def letters(prepared, tmp_path_factory):
    """Where that set lies, made by the tokenizer of the small corpus."""
    root = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_DATA", str(root))
        patch.setattr(parallel, "workers", in_place)
        make(tmp_path_factory.mktemp("texts"), prepared.folder / TOKENIZER)
    return root
