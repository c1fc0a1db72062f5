"""The smoke's machinery on processes of a second, and each of its checks failing where it should."""

import io
import math
import multiprocessing
import os
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from repro.errors import CheckFailed
from repro.recipe import load, machine
from repro.studies.check import Check, insist, tell
from repro.studies.processes import Arm, hide_other_gpus, run_all, share
from repro.studies.smoke import Floor, _first_losses, _guess, _last_losses, _matched, _resumed, checks, table
from tests.studies.pretending import RUN


@pytest.fixture
def arm(tmp_path, monkeypatch):
    """Makes an arm whose process pretends to train."""
    (tmp_path / "pretend.py").write_text(RUN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(multiprocessing, "set_forkserver_preload", lambda modules: None)

    def make(name, *said, steps=10, interrupt_at=None):
        folder = tmp_path / name
        return Arm(name, ["pretend", str(folder), str(steps), *said], folder, steps, interrupt_at)

    return make


def test_all_arms_run_to_their_end(arm):
    arms = [arm("a"), arm("b"), arm("c")]
    run_all(arms, at_once=2, method="spawn", show=lambda: None)
    assert [a.step for a in arms] == [10, 10, 10]
    assert all(a.seconds for a in arms)


def test_an_arm_is_interrupted_once_and_goes_on(arm):
    twin = arm("twin", steps=30, interrupt_at=10)
    run_all([twin], at_once=1, method="spawn", show=lambda: None)
    assert twin.interrupted
    assert twin.step == 30
    assert (twin.folder / "metrics.csv").read_text().count("\n") == 31


def test_an_arm_that_fails_keeps_what_it_said_and_the_others_go_on(arm):
    broken, other, later = arm("broken", "no space left"), arm("other", steps=20), arm("later")
    run_all([broken, other, later], at_once=2, method="spawn", show=lambda: None)
    assert re.fullmatch(
        r"exit code 2, and the last that it said is\nrepro: no space left\nall of it: .*broken\.log", broken.failed
    )
    assert [(a.step, a.failed) for a in (other, later)] == [(20, None), (10, None)]


def test_a_twin_that_fails_is_not_started_again(arm):
    twin = arm("twin", "it diverged", interrupt_at=1000)
    run_all([twin], at_once=1, method="spawn", show=lambda: None)
    assert "repro: it diverged" in twin.failed
    assert not twin.interrupted


def test_the_table_shows_how_far_each_arm_is(arm):
    one = arm("polynorm")
    one.latest = {"step": "5", "loss": "6.1234", "tokens_per_second": "12345.6", "memory_gb": "0.5"}
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(table([one]))
    assert "5/10  6.123                12,346  0.50 GB" in console.export_text()


def test_the_table_of_images_fits_80_columns_and_cuts_no_figure(arm):
    latest = {"step": "500", "loss": "2.24e16", "validation_loss": "2.2406787856064656e16", "top1": "0.9161"}
    latest |= {"samples": "62000", "samples_per_second": "14123.4", "memory_gb": "12.345"}
    arms = [arm("polyrelunorm", steps=500), arm("polyrelunorm, interrupted", steps=500), arm("leaky_relu2", steps=500)]
    for each, seconds, failed in zip(arms, (1.0, 1.0, None), (None, "exit code 1", None), strict=True):
        each.latest, each.seconds, each.failed, each.started = latest, seconds, failed, 1.0
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table(arms))
    said = console.export_text()
    assert "…" not in said
    assert max(map(len, said.splitlines())) <= 80
    assert "polyrelunorm " in said
    assert "500/500  2.240e+16   2.241e+16  91.6%    14,123  12.35 GB    done" in said
    assert "500/500  2.240e+16   2.241e+16  91.6%    14,123  12.35 GB  failed" in said


def test_a_run_that_cannot_be_started_is_an_error_of_the_disk(arm, tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(OSError, match=r"File exists|Not a directory"):
        run_all([Arm("a", [], tmp_path / "a" / "run", 1)], at_once=1, method="spawn", show=lambda: None)


@pytest.fixture
def finished(tmp_path):
    """Makes the files of a finished run."""

    def make(name, losses, validation, *, interrupted=False):
        folder = tmp_path / name
        folder.mkdir()
        rows = [f"{step},{loss},1.0,0.1," for step, loss in enumerate(losses, 1)]
        rows += [f"{len(losses)},,,,{np.mean(validation)}"]
        (folder / "metrics.csv").write_text("step,loss,grad_norm,lr,validation_loss\n" + "\n".join(rows) + "\n")
        np.save(folder / "validation.npy", np.array([validation], dtype=np.float32))
        return Arm(name, [], folder, len(losses), interrupted=interrupted)

    return make


RECIPES = [load("dense-smoke-polynorm"), load("dense-smoke-swiglu")]
FLOOR = Floor("a guess", "does better than a guess", 5.0)


@pytest.mark.parametrize(("first", "passes"), [(8.52, True), (8.60, True), (8.40, False), (8.32, False), (8.63, False)])
def test_a_first_loss_that_is_not_a_guess_is_found(finished, first, passes):
    assert _first_losses(RECIPES[0], [finished("a", [8.52], [5.0]), finished("b", [first], [5.0])]).passed == passes


@pytest.mark.parametrize(("first", "passes"), [(4.13, True), (4.40, True), (4.45, False), (3.99, False), (8.52, False)])
@pytest.mark.parametrize("family", ["resnet50", "mlp"])
def test_the_guess_of_an_image_is_among_its_classes(finished, family, first, passes):
    check = _first_losses(load(f"{family}-smoke-relu"), [finished("a", [first], [5.0])])
    assert check.passed == passes
    assert check.name == "the first loss is that of a guess, ln classes + 0.1"
    assert check.figures.startswith("expected 4.227, ")


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("dense-smoke-relu", ("V", 4096, 0.2)),
        ("moe-smoke-relu", ("V", 4096, 0.4)),
        ("rnn-smoke-relu", ("V", 4096, 0.1)),
        ("resnet50-smoke-relu", ("classes", 62, 0.1)),
        ("mlp-smoke-relu", ("classes", 62, 0.1)),
    ],
)
def test_what_is_guessed_among(name, guess):
    assert _guess(load(name)) == guess


@pytest.mark.parametrize(("offset", "passes"), [(-0.1, True), (0.1, False)])
def test_an_arm_that_learned_only_frequencies_is_found(finished, prepared, offset, passes):
    unigram = prepared.manifest.entropies.unigram
    arms = [finished("a", [8.5], [1.0]), finished("b", [8.5], [unigram + offset])]
    check = _last_losses(arms, Floor("unigram entropy", "learned more than how often a token occurs", unigram))
    assert check.passed == passes
    assert check.name == "every arm learned more than how often a token occurs"


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_arm_that_is_not_finite_is_found_and_named_wherever_it_stands(finished, place, bad):
    firsts, lasts = [8.52, 8.52, 8.52], [4.0, 4.0, 4.0]
    firsts[place], lasts[place] = bad, bad
    arms = [finished(f"arm-{i}", [first], [last]) for i, (first, last) in enumerate(zip(firsts, lasts, strict=True))]
    for check in (_first_losses(RECIPES[0], arms), _last_losses(arms, FLOOR)):
        assert not check.passed
        assert f"{bad:.3f} (arm-{place})" in check.figures


def test_a_run_that_failed_is_a_check_that_failed_and_the_others_are_judged(finished):
    recipes = [load(f"dense-smoke-{name}") for name in ("relu", "poly", "polynorm")]
    relu, poly = finished("relu", [8.52], [4.0]), Arm("poly", [], Path("none"), 10, failed="exit code 1: it diverged")
    polynorm, twin = finished("polynorm", [8.52], [4.0]), finished("twin", [8.52], [4.0], interrupted=True)
    outcome = checks(recipes, [relu, poly, polynorm], twin, FLOOR)
    assert [(check.name, check.figures) for check in outcome if not check.passed] == [
        ("dense-smoke-poly comes to its end", "exit code 1: it diverged")
    ]
    assert len(outcome) == 5


def test_where_every_run_failed_nothing_else_of_theirs_is_judged():
    arm, twin = (Arm(name, [], Path("none"), 10, failed="exit code 1") for name in ("poly", "poly, interrupted"))
    outcome = checks([load("rnn-smoke-poly")], [arm], twin, FLOOR)
    assert [(check.name, check.passed) for check in outcome] == [
        ("rnn-smoke-poly comes to its end", False),
        ("rnn-smoke-poly, interrupted, comes to its end", False),
    ]


def test_a_resumed_run_that_differs_in_one_bit_is_found(finished):
    one = finished("one", [8.5, 8.4], [5.0, 4.0])
    assert _resumed(one, finished("same", [8.5, 8.4], [5.0, 4.0], interrupted=True)).passed
    assert not _resumed(one, finished("loss", [8.5, 8.400001], [5.0, 4.0], interrupted=True)).passed
    assert not _resumed(one, finished("validation", [8.5, 8.4], [5.0, 4.0000005], interrupted=True)).passed


def test_a_resumed_run_whose_numbers_are_as_little_finite_equals_the_uninterrupted_one(finished):
    one = finished("one", [8.5, math.nan], [math.nan, 4.0])
    assert _resumed(one, finished("same", [8.5, math.nan], [math.nan, 4.0], interrupted=True)).passed
    assert not _resumed(one, finished("loss", [8.5, 8.4], [math.nan, 4.0], interrupted=True)).passed
    assert not _resumed(one, finished("validation", [8.5, math.nan], [math.nan, math.nan], interrupted=True)).passed
    assert not _resumed(one, finished("shorter", [8.5], [math.nan, 4.0], interrupted=True)).passed


def test_a_twin_that_was_never_interrupted_proves_nothing(finished):
    one = finished("one", [8.5], [5.0])
    check = _resumed(one, finished("same", [8.5], [5.0]))
    assert not check.passed
    assert check.figures == "the run ended before it could be interrupted"


def test_widths_that_do_not_match_are_found():
    assert _matched(RECIPES).passed
    assert not _matched([RECIPES[0], load("dense-smoke-swiglu", ["d_ff=267"])]).passed


def test_a_failed_check_is_named_and_fails_the_command():
    insist([Check("the first", True, "")])
    with pytest.raises(CheckFailed, match="1 of 2 checks failed: the second"):
        insist([Check("the first", True, ""), Check("the second", False, "")])


def test_figures_are_told_as_they_are_one_under_the_other():
    said = io.StringIO()
    tell([Check("the first", True, "one [/usr/bin]\ntwo")], Console(file=said))
    assert said.getvalue() == "passed  the first\n        one [/usr/bin]\n        two\n"


def test_a_gpu_takes_one_run_after_the_other(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")
    assert share(machine("gpu")) == (1, "spawn")
    hide_other_gpus()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
