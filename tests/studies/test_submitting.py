"""A study on a cluster: what is handed to SLURM, one stage at a time, and what is not handed over twice."""

import io
import json
import stat

import pytest
from rich.console import Console

from repro.claims.evidence import store
from repro.errors import RunError
from repro.recipe import machine
from repro.studies import recorded
from repro.studies.asked import form
from repro.studies.recorded import Recorded
from repro.studies.submitting import submit
from tests.claims import made

OF = form(made.study(seeds=2, secondary=()), "smoke", ())


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A SLURM whose jobs stay in the queue until a test takes them out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(store.paths, "data", lambda: tmp_path / "data")
    monkeypatch.setattr(recorded.runs, "row", _row)
    monkeypatch.setattr(recorded.runs, "curve", lambda run, row: made.curve(row))
    programs = tmp_path / "bin"
    programs.mkdir()
    _program(programs / "sbatch", f'n=$(ls {tmp_path}/queue | wc -l); touch "{tmp_path}/queue/$((n + 100))"; '
             'echo "Submitted batch job $((n + 100))"')  # fmt: skip
    _program(programs / "squeue", f'[ -e "{tmp_path}/queue/$3" ] && echo "$3 gpu PENDING"')
    (tmp_path / "queue").mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return tmp_path / "queue"


def _program(path, line):
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)


def _row(folder, **values):
    told = values | {"seed": int(folder.name.removeprefix("seed-")), "fingerprint": folder.parent.name}
    row = made.row(**told, validation_loss=3.0 + abs(values["factor"] - 1))
    return made.dataclasses.replace(row, curve=made.cells.curve_digest(made.curve(row)))


def handed_over():
    said = io.StringIO()
    kept = Recorded(OF)
    submit(OF, machine("gpu"), kept, Console(file=said, width=150))
    return said.getvalue()


def end(role, seeds):
    for arm in OF.study.arms:
        for factor, seed in seeds:
            folder = OF.run(role, "smoke", arm, factor, seed).folder
            (folder / "result.json").write_text(json.dumps({"steps": 3}))


def test_brackets_are_handed_over_first_and_measured_runs_once_they_have_ended(cluster):
    said = handed_over()
    assert "6 jobs submitted (brackets first, measured runs once they have chosen), 0 in the queue, 0 done" in said
    assert "when they have ended, the same command goes on" in said
    script = (OF.run("bracket", "smoke", "polynorm", 2.0, 1000).folder / "launch.sbatch").read_text()
    assert "-m repro run dense-smoke-polynorm optim.lr=0.02 --on gpu --seed 1000 --out " in script
    assert "/runs/brackets" in script
    end("bracket", [(0.5, 1000), (1.0, 1000), (2.0, 1000)])
    assert "4 jobs submitted (all due), 0 in the queue, 6 done" in handed_over()


def test_what_is_in_the_queue_is_not_handed_over_again(cluster):
    handed_over()
    assert "0 jobs submitted (brackets first, measured runs once they have chosen), 6 in the queue" in handed_over()


def test_a_job_that_went_without_a_result_is_handed_over_again(cluster):
    handed_over()
    (cluster / "100").rename(cluster / "900")
    assert "1 jobs submitted" in handed_over()


def test_where_there_is_no_sbatch_it_is_told(cluster, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RunError, match="there is no sbatch here: submit from a login node"):
        handed_over()


def test_runs_that_are_trained_there_wait_for_their_analysis(cluster, monkeypatch):
    of = form(made.study(seeds=2, secondary=(), bracket=False, analysis=["weights"]), "smoke", ())
    monkeypatch.setitem(globals(), "OF", of)
    handed_over()
    end("main", [(1.0, 0), (1.0, 1)])
    assert "4 runs are trained and wait for `repro analyze`: the same command without --submit" in handed_over()
