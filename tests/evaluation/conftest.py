"""A run of a small language model, trained once, a copy of it for each test, and `repro eval` of it."""

import random
import shutil

import numpy as np
import pytest
import torch

from repro import cli
from repro.errors import Preempted
from repro.recipe import machine
from tests.conftest import SMALL
from tests.evaluation.made import a_set, text


@pytest.fixture(scope="session")
def trained_once(prepared, tmp_path_factory):
    from repro.recipe import load
    from repro.training.run import run  # not above: it imports Triton, before pytest is told of its interpreter

    folder = tmp_path_factory.mktemp("runs") / "run"
    recipe = load("dense-smoke-polynorm", [f"{key}={value}" for key, value in SMALL.items()])
    run(recipe, machine("cpu"), prepared, seed=0, folder=folder)
    return folder


@pytest.fixture
def a_run(trained_once, tmp_path):
    """The folder of a run with checkpoints of steps 20 and 24, for a test that writes beside it."""
    return shutil.copytree(trained_once, tmp_path / "run")


@pytest.fixture
def few_items(monkeypatch):
    """Lets a test make up items of a task, fewer than are published."""
    monkeypatch.setattr("repro.evaluation.tasks.tasks.check_items", lambda file, found, where: None)


@pytest.fixture
def command(capsys, monkeypatch, tmp_path, prepared):
    """Runs a command with the small corpus and a set of two parts prepared, and gives its code and what it said."""
    data = tmp_path / "data"
    shutil.copytree(prepared.folder.parents[1], data)
    parts = {"books": [[text(1), text(2)]], "a-name-of-20-letters": [[text(seed) for seed in range(40)]]}
    a_set(data / "parts" / "own-512", parts, made_with=prepared.tokenizer())
    shutil.copy(prepared.folder / "tokenizer.json", data / "parts" / "own-512")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPRO_DATA", str(data))
    monkeypatch.setenv("COLUMNS", "80")

    def command(*arguments):
        code = cli.status(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def evaluate(command, *more):
    return command("eval", "run", *more, "--on", "cpu")


@pytest.fixture
def asked(monkeypatch):
    """Stands for lm-eval: the loss of a sentence is the value of each task. Spends random numbers, as lm-eval may."""
    from repro.evaluation import during
    from tests.evaluation.stand_ins import TEXT, find, scored

    subjects = []

    def evaluate(subject, tasks):
        subjects.append(subject)
        assert not subject.network.training
        assert not torch.is_grad_enabled()
        tokens = torch.tensor([subject.tokenizer.encode(TEXT).ids[: subject.context + 1]])
        loss = subject.network(tokens[:, :-1], tokens[:, 1:]).mean.item()
        for seed in (random.seed, np.random.seed, torch.manual_seed):
            seed(1234)
        return [scored(task, loss) for task in tasks]

    monkeypatch.setattr(during.task_piece, "find", find)
    monkeypatch.setattr(during.harness, "evaluate", evaluate)
    return subjects


@pytest.fixture
def train(small, prepared, tmp_path, monkeypatch):
    """Trains the small recipe with what evaluates its tasks; ``stop_at`` sends Ctrl-C there and starts it again."""

    def train(changes=(), name="run", *, stop_at=(), activation="polynorm"):
        from repro.evaluation import during
        from repro.training.run import run
        from tests.evaluation.stand_ins import stop_in

        recipe, folder = small(changes, activation=activation), tmp_path / name

        def go():
            evaluating = during.callbacks(recipe, prepared, folder)
            run(recipe, machine("cpu"), prepared, seed=0, folder=folder, evaluating=evaluating)

        for step in stop_at:
            with monkeypatch.context() as patch:
                stop_in(patch, step)
                with pytest.raises(Preempted):
                    go()
        go()
        return folder

    return train
