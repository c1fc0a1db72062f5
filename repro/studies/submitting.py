"""The runs of a study as jobs of SLURM, one stage at a time: brackets, then what they chose."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from repro.paths import write_whole
from repro.recipe import Machine
from repro.studies.asked import Asked, Form
from repro.studies.due import due
from repro.studies.recorded import Recorded, is_trained, unanalysed
from repro.training import slurm
from repro.training.launch import job

NOTE = "submitted"  # a file in a run's folder: what sbatch said


def submit(of: Form, machine: Machine, recorded: Recorded, console: Console) -> None:
    """Record what has ended, and hand over what is due and not yet in the queue.

    Raises:
        RunError: there is no ``sbatch``, or it refuses.
    """
    todo = _recorded(of, recorded)
    queued = [run for run in todo if _is_queued(run.folder)]
    trained = [run for run in todo if is_trained(run.folder)]
    new = [run for run in todo if run not in queued and run not in trained]
    for run in new:
        _hand_over(run, machine)
    stage = (
        "brackets first, measured runs once they have chosen" if any(_is_bracket(run) for run in todo) else "all due"
    )
    told = f"{len(new)} jobs submitted ({stage}), {len(queued)} in the queue, {len(recorded.rows)} done"
    console.print(told, highlight=False)
    if trained:
        console.print(
            f"{len(trained)} runs are trained and wait for `repro analyze`: the same command without --submit does it "
            "where it runs",
            highlight=False,
        )
    if todo:
        console.print("when they have ended, the same command goes on")


def _recorded(of: Form, recorded: Recorded) -> list[Asked]:
    """What is due once all that has ended has its row."""
    while done := [run for run in due(of, recorded.rows) if is_trained(run.folder) and not unanalysed(of, run)]:
        for run in done:
            recorded.add(run)
    return due(of, recorded.rows)


def _is_bracket(run: Asked) -> bool:
    return run.role == "bracket"


def _hand_over(run: Asked, machine: Machine) -> None:
    asked = job(run.recipe.name, run.overrides, on=machine.name, seed=run.seed, out=run.out)
    write_whole(run.folder / NOTE, f"{slurm.submitted(asked, Path.cwd())}\n")


def _is_queued(run: Path) -> bool:
    """Whether SLURM still knows the job that was submitted for a run."""
    note = run / NOTE
    number = re.search(r"\d+", note.read_text()) if note.is_file() else None
    if number is None or shutil.which("squeue") is None:
        return False
    command: Sequence[str] = ["squeue", "--noheader", "--jobs", number.group()]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    return ended.returncode == 0 and bool(ended.stdout.strip())
