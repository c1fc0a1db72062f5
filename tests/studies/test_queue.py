"""Runs as processes that take a second: stopped by Ctrl-C, gone on with, and widened as they end."""

import io
import json
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from repro.claims.evidence import store
from repro.recipe import machine
from repro.studies import queue, recorded
from repro.studies.asked import form
from repro.studies.due import remaining
from repro.studies.processes import Arm, run_all
from repro.studies.queue import Queue
from repro.studies.recorded import Recorded
from repro.studies.watching import Watch
from tests.claims import made
from tests.studies.pretending import RUN

STEPS = 20


@pytest.fixture
def pretend(tmp_path, monkeypatch):
    """Has runs that do nothing but count, and rows made up for them."""
    (tmp_path / "pretend.py").write_text(RUN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(multiprocessing, "set_forkserver_preload", lambda modules: None)
    monkeypatch.setattr(store.paths, "data", lambda: tmp_path / "data")
    monkeypatch.setattr(queue, "share", lambda machine, at_most: (2, "spawn"))
    monkeypatch.setattr(
        Queue, "_arm", lambda self, run: Arm(run.name, ["pretend", str(run.folder), str(STEPS)], run.folder, STEPS)
    )
    monkeypatch.setattr(recorded.runs, "row", _row)
    monkeypatch.setattr(recorded.runs, "curve", lambda run, row: made.curve(row))


def _row(folder, **values):
    told = values | {"seed": int(folder.name.removeprefix("seed-")), "fingerprint": folder.parent.name}
    row = made.row(**told)
    return made.dataclasses.replace(row, curve=made.cells.curve_digest(made.curve(row)))


def _queue(of):
    kept = Recorded(of)
    return Queue(of, machine("cpu"), kept, Watch(of, 1.0, Console(file=io.StringIO()))), kept


def test_ctrl_c_keeps_what_has_ended_and_what_has_begun_goes_on_from_its_last_step(pretend):
    of = form(made.study(seeds=2, secondary=(), bracket=False), "smoke", ())
    first, kept = _queue(of)

    def interrupt():
        while len(kept.rows) < 2 or not any(0 < arm.step < STEPS for arm in first.arms.values()):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        first.work()
    assert 2 <= len(kept.rows) < 4
    begun = [run.folder for run in remaining(of, kept.rows) if (run.folder / "state").exists()]
    assert begun
    assert all(0 < int((folder / "state").read_text()) < STEPS for folder in begun)
    second, kept = _queue(of)
    second.work()
    assert len(kept.rows) == 4
    asked = remaining(of, [])
    starts = {run.folder: (run.folder / "started").read_text().count("\n") for run in asked}
    assert starts == {run.folder: 1 + (run.folder in begun) for run in asked}
    steps = [(run.folder / "metrics.csv").read_text().count("\n") for run in asked]
    assert steps == [STEPS + 1] * 4


def test_a_command_for_after_a_run_is_started_when_it_ended_well(tmp_path, pretend):
    (tmp_path / "look.py").write_text("import sys; from pathlib import Path; Path(sys.argv[1], 'looked').touch()")
    arm = Arm("a", ["pretend", str(tmp_path / "a"), "2"], tmp_path / "a", 2, then=["look", str(tmp_path / "a")])
    run_all([arm], at_once=1, method="spawn", show=lambda: None)
    assert (tmp_path / "a" / "looked").is_file()
    assert arm.failed is None


def test_a_command_for_after_a_run_that_fails_is_a_failure_of_the_run(tmp_path, pretend):
    (tmp_path / "look.py").write_text("raise SystemExit('repro: it is damaged')")
    arm = Arm("a", ["pretend", str(tmp_path / "a"), "2"], tmp_path / "a", 2, then=["look"])
    run_all([arm], at_once=1, method="spawn", show=lambda: None)
    assert "repro: it is damaged" in arm.failed


def test_what_a_run_makes_possible_starts_when_it_has_ended(tmp_path, pretend):
    first, second = (Arm(name, ["pretend", str(tmp_path / name), "2"], tmp_path / name, 2) for name in "ab")

    def more(waiting):
        if second.process is None:
            waiting.append(second)

    run_all([first], at_once=2, method="spawn", show=lambda: None, more=more)
    assert second.step == 2


@pytest.mark.parametrize(("memory", "at_once"), [(16.0, 4), (4.0, 3), (0.5, 1)])
def test_a_cpu_takes_as_many_runs_as_it_has_cores_and_memory_for(monkeypatch, tmp_path, memory, at_once):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(queue, "cores", lambda: 4)
    monkeypatch.setattr("repro.studies.processes.cores", lambda: 4)
    of = form(made.study(seeds=2, bracket=False), "smoke", ())
    small = machine("cpu").model_copy(update={"memory_gb": memory})
    made_ready = Queue(of, small, Recorded(of), Watch(of, 1.0, Console(file=io.StringIO())))
    assert made_ready._share(remaining(of, [])) == (at_once, "forkserver")
    assert os.environ["OMP_NUM_THREADS"] == str(4 // at_once)


def test_one_gpu_takes_one_run_after_the_other(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")
    of = form(made.study(seeds=2, bracket=False), "10m", ())
    of_one = Queue(of, machine("gpu"), Recorded(of), Watch(of, 1.0, Console(file=io.StringIO())))
    assert of_one._share(remaining(of, [])) == (1, "spawn")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"


def test_a_run_is_trained_and_then_analysed_by_the_machine_of_the_study(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    of = form(made.study(seeds=2, analysis=["weights"]), "smoke", ())
    made_ready = Queue(of, machine("cpu"), Recorded(of), Watch(of, 1.0, Console(file=io.StringIO())))
    measured, bracket = (of.run(role, "smoke", "relu", 2.0, 1) for role in ("main", "bracket"))
    train = ("repro", "run", "dense-smoke-relu", "optim.lr=0.02", "--seed", "1", "--on", "cpu")
    arm = made_ready._arm(measured)
    assert (arm.command, arm.then) == (
        train,
        ("repro", "analyze", str(measured.folder), "parts=weights", "--on", "cpu"),
    )
    aside = (*train[:-2], "--out", "runs/brackets", *train[-2:])
    assert (made_ready._arm(bracket).command, made_ready._arm(bracket).then) == (aside, ())
    assert Path(arm.folder).name == "seed-1"


def test_a_diverged_run_is_not_analysed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    of = form(made.study(analysis=["weights"]), "smoke", ())
    run = of.run("main", "smoke", "relu", 1.0, 0)
    assert recorded.unanalysed(of, run) == ("weights",)
    run.folder.mkdir(parents=True)
    (run.folder / "result.json").write_text(json.dumps({"steps": 3, "diverged_at": 2}))
    assert recorded.unanalysed(of, run) == ()
