"""Verbs that write: what they say, what they leave, and what each mistake gets."""

import json
import os
import signal

import numpy as np
import pytest

from repro import cli
from repro.training.language_model import LanguageModel
from tests.conftest import SMALL

NAME = "dense-smoke-polynorm"
OVERRIDES = [f"{key}={value}" for key, value in SMALL.items()]


@pytest.fixture
def run(capsys, monkeypatch, tmp_path, prepared):
    """Runs a command in a folder of its own, with the small corpus prepared, and gives its code and what it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPRO_DATA", str(prepared.folder.parents[1]))
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments):
        code = cli.status(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def train(run, *more):
    return run("run", NAME, *OVERRIDES, "--on", "cpu", *more)


def test_a_run_says_what_it_is_and_how_it_ended(run):
    code, said, _ = train(run)
    assert code == 0
    assert "3,072 tokens in 24 steps of 128" in said
    assert "epochs; entropies of" in said
    assert "step 24 of 24" in said
    assert "complete: loss " in said
    assert "curves: tensorboard --logdir runs/dense-smoke-polynorm/" in said


def test_run_twice_it_is_already_complete(run, monkeypatch):
    train(run)
    monkeypatch.setattr(LanguageModel, "training_step", None)
    code, said, _ = train(run)
    assert code == 0
    assert said.startswith("already complete: runs/dense-smoke-polynorm/")


def test_ctrl_c_saves_and_says_how_to_go_on(run, monkeypatch):
    training_step = LanguageModel.training_step

    def interrupted(self, batch):
        if self.trainer.global_step == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return training_step(self, batch)

    monkeypatch.setattr(LanguageModel, "training_step", interrupted)
    code, _, complaint = train(run)
    assert code == 75
    assert complaint == "repro: stopped after step 7 of 24, which is saved; the same command goes on from there\n"
    monkeypatch.setattr(LanguageModel, "training_step", training_step)
    assert train(run)[0] == 0


def diverges(self, batch):
    loss = self.decoder.norm.weight.sum() * float("nan")
    return {"loss": loss, "cross_entropy": loss.detach(), "routing": ()}


def test_a_run_that_diverges_is_a_result_which_the_same_command_only_tells_and_compare_reads(
    run, tmp_path, monkeypatch
):
    train(run)
    with monkeypatch.context() as patched:
        patched.setattr(LanguageModel, "training_step", diverges)
        code, _, complaint = run("run", "dense-smoke-relu", *OVERRIDES, "--on", "cpu")
    assert (code, complaint.count("\n")) == (1, 1)
    assert complaint.startswith("repro: stopped at step 11: 11 steps in a row had a gradient that was not finite")
    (folder,) = tmp_path.glob("runs/dense-smoke-relu/*/seed-0")
    told = f"repro: already diverged, from step 1 on: {folder.relative_to(tmp_path)}; with another lr it is another run"
    told += ", and without its result.json it goes on from its last checkpoint\n"
    assert run("run", "dense-smoke-relu", *OVERRIDES, "--on", "cpu") == (1, "", told)
    other = next(tmp_path.glob("runs/dense-smoke-polynorm/*"))
    assert "0: b diverged at step 1" in run("compare", str(other), str(folder))[1]
    (pair,) = json.loads(run("compare", str(other), str(folder), "--json")[1])
    assert (pair["difference"], pair["pairs"], pair["by_seed"]) == (None, 0, {"0": None})


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        (5.25, "validation 5.2500 (nats per token) after 24 steps\n"),
        (6.25, "validation 6.2500 (nats per token) after 24 steps\nvalidation is no better than a guess (6.2383)\n"),
        (2.5e16, "validation 2.5e+16 (nats per token) after 24 steps\nvalidation is no better than a guess (6.2383)\n"),
        (float("inf"), "validation not finite (nats per token) after 24 steps\nvalidation is no better than a guess"),
        (float("nan"), "validation not finite (nats per token) after 24 steps\nvalidation is no better than a guess"),
    ],
)
def test_a_run_that_ends_where_a_guess_is_says_so_now_and_later(run, monkeypatch, loss, told):
    losses = np.full(32, loss, dtype=np.float32)
    monkeypatch.setattr("repro.training.callbacks.validation.evaluate", lambda data, sample, module: losses)
    for said in (train(run), train(run)):
        assert said[0] == 0
        assert told in said[1]


def test_compare_pairs_two_recipes_by_seed(run, tmp_path):
    for name in ("polynorm", "relu"):
        for seed in ("0", "1"):
            assert run("run", f"dense-smoke-{name}", *OVERRIDES, "--on", "cpu", "--seed", seed)[0] == 0
    folders = [str(next(tmp_path.glob(f"runs/dense-smoke-{name}/*"))) for name in ("polynorm", "relu")]
    code, said, _ = run("compare", *folders, "--json")
    (pair,) = json.loads(said)
    assert code == 0
    assert (pair["a"], pair["b"], pair["pairs"]) == ("dense-smoke-polynorm", "dense-smoke-relu", 2)
    assert pair["difference"] == pytest.approx(sum(pair["by_seed"].values()) / 2)
    assert "no verdict" in run("compare", *folders)[1]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("run", "dense-smoke-polynrm"), "Did you mean 'dense-smoke-polynorm'?"),
        (("run", NAME, "--on", "a100"), "no machine is called 'a100'. Did you mean 'a100-8x8'?"),
        (("run", NAME, "optim=3"), "optim is a section and takes no value"),
        (("run", NAME, "lrr=3"), "Did you mean"),
        (("run", NAME, "corpus=python-stdlb"), "no data set is called 'python-stdlb'. Did you mean 'python-stdlib'?"),
        (("run", NAME, "n_heads=3"), "d_model=64 does not divide into n_heads=3"),
        (("run", "dense-smoke-swiglu", "d_ff=100"), "multiple of 3, such as 99 or 102"),
        (("run", NAME, "tokens_per_step=1000"), "is not a multiple of data.context=64"),
        (("run", NAME, "--seed", "-1"), "--seed"),
        (("run", "dense-4m-polynorm", "--on", "cpu"), "train offline with data.corpus=python-packages"),
        (("prepare", "python-stdli"), "Did you mean 'python-stdlib'?"),
        (("prepare", "python-stdlib", "vocab=9"), "prepare has no setting 'vocab'. Did you mean 'vocab_size'?"),
        (("prepare", "python-stdlib", "vocab_size=many"), "expected a whole number"),
        (("prepare", "redpajama-1t", "shard=5/4"), "expected i/n, the i-th of n parts, such as shard=1/4"),
        (("compare", NAME), "compare needs two arms or more"),
        (("compare", NAME, "dense-smoke-relu"), "holds no finished run"),
        (("smoke", "dense-smok-relu"), "no scale is called 'smok'"),
        (("bench", "stp"), "there is no benchmark 'stp'. Did you mean 'step'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_line_and_writes_nothing(run, tmp_path, arguments, complaint):
    code, _, said = run(*arguments)
    assert code == 2
    assert said.startswith("repro: ")
    assert said.count("\n") == 1
    assert complaint in said
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(run, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, said = train(run, "--out", "file")
    assert (code, said.count("\n")) == (2, 1)
    assert "is not a folder that can be written" in said


def test_prepare_says_what_a_set_holds(run):
    code, said, _ = run("prepare", "python-stdlib", "vocab_size=512")
    assert code == 0
    assert "is complete and verified, fingerprint" in said
    assert "nats per token on validation" in said
