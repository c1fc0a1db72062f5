"""The smoke's machinery on processes of a second, and each of its checks failing where it should."""

import io
import multiprocessing
import os

import numpy as np
import pytest
from rich.console import Console

from repro.errors import CheckFailed, RecipeError
from repro.recipe import load, machine
from repro.studies import start
from repro.studies.check import Check, insist, tell
from repro.studies.processes import Arm, run_all
from repro.studies.smoke import Floor, _first_losses, _last_losses, _matched, _resumed, _share, table

RUN = """
import signal, sys, time
from pathlib import Path
folder, steps = Path(sys.argv[1]), int(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
state = folder / "state"
done = int(state.read_text()) if state.exists() else 0
stop = []
signal.signal(signal.SIGINT, lambda *_: stop.append(1))
metrics = folder / "metrics.csv"
if not done:
    metrics.write_text("step,loss,validation_loss\\n")
for step in range(done + 1, steps + 1):
    time.sleep(0.05)
    with metrics.open("a") as file:
        file.write(f"{step},{10 / step},\\n")
    state.write_text(str(step))
    if stop:
        sys.exit(75)
if len(sys.argv) > 3:
    print("repro: " + sys.argv[3])
    sys.exit(2)
"""


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


def test_an_arm_that_fails_ends_the_smoke_with_what_it_said(arm):
    other = arm("other", steps=1000)
    with pytest.raises(
        CheckFailed, match=r"broken ended with exit code 2 and said: repro: no space left .*broken\.log"
    ):
        run_all([arm("broken", "no space left"), other], at_once=2, method="spawn", show=lambda: None)
    assert not other.process.is_alive()


def test_the_table_shows_how_far_each_arm_is(arm):
    one = arm("polynorm")
    one.latest = {"step": "5", "loss": "6.1234", "tokens_per_second": "12345.6", "memory_gb": "0.5"}
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(table([one]))
    assert "5/10  6.123                12,346  0.50 GB" in console.export_text()


def test_a_smoke_asks_for_one_device_and_for_one_that_is_here(monkeypatch):
    monkeypatch.setattr(start, "here", lambda: machine("cpu"))
    with pytest.raises(RecipeError, match="a smoke runs on one device, and machine 'h100-8x8' has 64; try --on gpu"):
        start._check(machine("h100-8x8"))
    with pytest.raises(RecipeError, match="machine 'gpu' has a GPU, and there is none here; try --on cpu"):
        start._check(machine("gpu"))
    start._check(machine("cpu"))


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


@pytest.mark.parametrize(("first", "passes"), [(8.52, True), (8.60, True), (8.40, False), (8.32, False), (8.63, False)])
def test_a_first_loss_that_is_not_a_guess_is_found(finished, first, passes):
    assert _first_losses(RECIPES[0], [finished("a", [8.52], [5.0]), finished("b", [first], [5.0])]).passed == passes


@pytest.mark.parametrize(("offset", "passes"), [(-0.1, True), (0.1, False)])
def test_an_arm_that_learned_only_frequencies_is_found(finished, prepared, offset, passes):
    unigram = prepared.manifest.entropies.unigram
    arms = [finished("a", [8.5], [1.0]), finished("b", [8.5], [unigram + offset])]
    assert _last_losses(arms, Floor("unigram entropy", "how often a token occurs", unigram)).passed == passes


def test_a_resumed_run_that_differs_in_one_bit_is_found(finished):
    one = finished("one", [8.5, 8.4], [5.0, 4.0])
    assert _resumed(one, finished("same", [8.5, 8.4], [5.0, 4.0], interrupted=True)).passed
    assert not _resumed(one, finished("loss", [8.5, 8.400001], [5.0, 4.0], interrupted=True)).passed
    assert not _resumed(one, finished("validation", [8.5, 8.4], [5.0, 4.0000005], interrupted=True)).passed


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
    assert _share(machine("gpu")) == (1, "spawn")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
