"""The results file of a study's form, which grows by a row as each of its runs ends."""

import json
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from repro import paths
from repro.claims.evidence import runs, store
from repro.claims.evidence.naming import differs, named
from repro.claims.evidence.rows import Results, Row
from repro.errors import RecipeError, RunError
from repro.recipe import fingerprint
from repro.studies.asked import RATES, Asked, Form
from repro.training.holding import held

AWAY = ", or move the file and its curves away"


class Recorded:
    """Rows and curves of a form, in ``runs/studies``: with the folders of runs, all that a study has to go on from.

    A file that was brought from another machine counts: its runs are not made again. What came with the kit does not,
    or a study would end before anything of it had run here.

    What the study names is kept with the first row, and stays: what is named later was not named before it ran.

    Args:
        of: the form.

    Attributes:
        changed: in which points the study as it is asked for is not what the file says was named; nothing if in none.

    Raises:
        RecipeError: the file holds runs of other settings.
        RunError: it is damaged, or somebody edited it.
    """

    def __init__(self, of: Form) -> None:
        self.of = of
        self.place, now = _place(of), named(of.study, seeds=of.seeds)
        none = Results((), (), place=str(self.place), planned=now)
        self.results = store.read(self.place) if self.place.is_file() else none
        self.changed = differs(self.results.planned, now) if self.results.planned else ""
        if self.results.edited:
            raise RunError(
                f"{self.place}: {self.results.edited[0]}; nothing is added to numbers that were not measured: put back "
                f"what was written{AWAY}"
            )
        refuse_others(of, self.results.rows, self.place)

    @property
    def rows(self) -> tuple[Row, ...]:
        """Of all runs that ended."""
        return self.results.rows

    def add(self, asked: Asked) -> None:
        """Read a finished run, and keep what it came to.

        Raises:
            RunError: it is damaged, or was trained by others.
        """
        row = runs.row(
            asked.folder,
            study=self.of.study.name,
            form=self.of.name,
            rung=asked.rung,
            role=asked.role,
            arm=asked.arm,
            factor=asked.factor,
        )
        curves = (*self.results.curves, runs.curve(asked.folder, row))
        self.results = replace(self.results, rows=(*self.rows, row), curves=curves)
        store.write(self.results, self.place)


def alone(of: Form) -> AbstractContextManager[None]:
    """Keep other processes from the results of a form, while this one adds to them: each would undo the other's rows.

    Raises:
        RunError: another has begun.
    """
    place = _place(of)
    runs_there = f"study {of.study.name} at {of.name} runs in another process, and both would write {place}"
    return held(place.with_name(f".{place.stem}.lock"), refusal=f"{runs_there}; dry_run=true shows how far it is")


def _place(of: Form) -> Path:
    return store.place(of.study.name, of.name, paths.runs() / "studies")


def is_trained(run: Path) -> bool:
    """Whether a run came to its end, or diverged."""
    return (run / "result.json").is_file()


def unanalysed(of: Form, asked: Asked) -> tuple[str, ...]:
    """Parts of the study's analysis that a run is still to get: a bracket's runs get none, nor do diverged ones."""
    run = asked.folder
    if asked.role == "bracket" or (is_trained(run) and "diverged_at" in json.loads((run / "result.json").read_text())):
        return ()
    index = run / "analysis" / "analysis.json"
    there = json.loads(index.read_text()) if index.is_file() else {}
    return tuple(part for part in of.study.analysis if part not in there)


def refuse_others(of: Form, rows: Iterable[Row], place: Path) -> None:
    """Tell runs of other settings from those that are asked for: one file holds one study.

    Raises:
        RecipeError: a row of the file is of another recipe.
    """
    for row in rows:
        if (row.rung, row.arm) not in of.places:
            raise RecipeError(f"{place} holds runs of {row.arm} at {row.rung}, which {of.study.name} has not{AWAY}")
        asked = of.run(row.role, row.rung, row.arm, row.factor, row.seed)
        if fingerprint(asked.recipe) != row.fingerprint:
            raise RecipeError(f"{place} holds runs of {row.arm} at {row.rung} {_told_apart(asked, row)}{AWAY}")


def _told_apart(asked: Asked, row: Row) -> str:
    """What makes the run that is asked for another than the one that is there."""
    here = " ".join(word for word in asked.overrides if word.split("=")[0] not in RATES)
    if here == row.overrides:
        now = fingerprint(asked.recipe)
        return f"of the recipe as it was then ({row.fingerprint}, now {now}): go on at that commit"
    return f"with {row.overrides or 'nothing set'}, and asked for is {here or 'nothing set'}: give the same settings"
