"""The smoke as a person sees it: which recipes it takes, what they have to beat, and what is told when one fails."""

import io
import math
from itertools import groupby

import pytest
from rich.console import Console

from repro.errors import CheckFailed, RecipeError
from repro.recipe import load, machine, runs
from repro.recipe.loading import admitted, families
from repro.studies import start
from repro.studies.check import Check
from repro.studies.smoke import Floor


def test_a_smoke_asks_for_one_device_and_for_one_that_is_here(monkeypatch):
    monkeypatch.setattr(start, "here", lambda: machine("cpu"))
    with pytest.raises(RecipeError, match="a smoke runs on one device, and machine 'h100-8x8' has 64; try --on gpu"):
        start._check(machine("h100-8x8"))
    with pytest.raises(RecipeError, match="machine 'gpu' has a GPU, and there is none here; try --on cpu"):
        start._check(machine("gpu"))
    start._check(machine("cpu"))


def test_a_family_that_failed_leaves_the_next_its_table_and_checks(tmp_path, monkeypatch):
    """The whole of a smoke of two families, of which the first fails before it writes anything."""
    figures = {"poly": [], "polynorm": [4.0]}

    def smoke(names, where, floor, *, out, console):
        activation = names[0].split("-")[2]
        passed = bool(figures[activation])
        for loss in figures[activation]:
            folder = runs.folder(load(names[0]), 0, out)
            folder.mkdir(parents=True)
            (folder / "metrics.csv").write_text(f"step,samples,loss,validation_loss\n1,124,{loss},{loss}\n")
        return [Check(f"{names[0]} comes to its end", passed, "")]

    monkeypatch.setattr(start, "smoke", smoke)
    monkeypatch.setattr(start, "_arms", lambda name, everything: ["resnet50-smoke-poly", "mlp-smoke-polynorm"])
    monkeypatch.setattr(start, "agreement", lambda accelerator: Check("they agree", True, ""))
    monkeypatch.setattr(start.paths, "runs", lambda: tmp_path)
    said = io.StringIO()
    with pytest.raises(CheckFailed, match=r"^1 of 3 checks failed: resnet50-smoke-poly comes to its end$"):
        start.start(None, everything=True, on="cpu", console=Console(file=said, width=200))
    assert "FAILED  resnet50-smoke-poly comes to its end" in said.getvalue()
    assert "passed  mlp-smoke-polynorm comes to its end" in said.getvalue()
    assert "passed  they agree" in said.getvalue()
    assert [path.name for path in tmp_path.glob("*/curves-*.png")] == ["curves-mlp.png"]


def test_all_is_every_activation_of_decoders_and_the_steady_ones_of_other_networks():
    arms = start._arms(None, everything=True)
    taken = {family: {arm for arm in arms if arm.startswith(f"{family}-")} for family in families()}
    for family in ("dense", "moe"):
        assert taken[family] == {f"{family}-smoke-{activation}" for activation in admitted(family)}
    for family in ("resnet50", "rnn", "mlp"):
        assert taken[family] == {f"{family}-smoke-relu", f"{family}-smoke-polynorm"}
    assert set(arms) == set().union(*taken.values())
    assert [family for family, _ in groupby(arms, key=lambda arm: arm.split("-")[0])] == list(families())


def test_one_name_is_one_arm_at_the_smokes_scale_whatever_it_is():
    assert start._arms("dense-1b-relu", everything=False) == ["dense-smoke-relu"]
    assert start._arms("rnn-smoke-poly", everything=True) == ["rnn-smoke-poly"]


def test_without_a_name_it_is_the_dense_comparison():
    assert start._arms(None, everything=False) == [
        f"dense-smoke-{arm}" for arm in ("swiglu", "gelu", "relu", "relu2", "polyrelu", "polynorm")
    ]


def test_what_an_image_classifier_has_to_beat_is_a_guess():
    floor, levels, what = start._known(load("resnet50-smoke-relu"))
    assert floor == Floor("a guess", "does better than a guess", math.log(62))
    assert (levels, what) == ({"a guess": math.log(62)}, "glyphs")


def test_what_a_language_model_has_to_beat_is_a_unigram_model(prepared, monkeypatch):
    monkeypatch.setattr(start, "ready", lambda data, vocab_size, progress: prepared)
    floor, levels, what = start._known(load("rnn-smoke-relu"))
    entropy = prepared.manifest.entropies
    assert floor == Floor("unigram entropy", "learned more than how often a token occurs", entropy.unigram)
    assert levels == {"unigram entropy": entropy.unigram, "bigram entropy": entropy.bigram}
    assert what == "python-stdlib"
