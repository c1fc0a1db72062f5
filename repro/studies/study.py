"""A study as a person sees it: what it asks and costs, how it goes, what it comes to."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from repro.claims.evidence.judging import judge
from repro.claims.evidence.study import load
from repro.errors import CheckFailed
from repro.recipe import Machine, machine
from repro.recipe.settings import given, truth
from repro.studies.asked import Form, form
from repro.studies.cost import hours
from repro.studies.due import remaining
from repro.studies.queue import Queue
from repro.studies.recorded import Recorded, alone
from repro.studies.refusals import refuse_misfit, refuse_unlike, refuse_unready
from repro.studies.submitting import submit as hand_over
from repro.studies.telling import (
    command,
    conclude,
    introduce,
    stamp,
    tell_changed,
    tell_edges,
    tell_failed,
    tell_missing,
)
from repro.studies.watching import Watch

OWN = ("scale", "dry_run", "any_commit")  # settings of the verb; all others are keys of recipes


@dataclass(frozen=True)
class Settings:
    """The ``key=value`` words.

    Attributes:
        scale: the form; None for the study's smallest that is more than a smoke.
        dry_run: say what would be run, and run nothing.
        any_commit: judge pairs of runs of two commits.
        overrides: of the recipes.
    """

    scale: str | None
    dry_run: bool
    any_commit: bool
    overrides: tuple[str, ...]


def settings(words: Sequence[str]) -> Settings:
    """From the command line.

    Raises:
        RecipeError: one is set twice, or is neither true nor false.
    """
    own = [word for word in words if word.partition("=")[0] in OWN]
    found = given(own, OWN, verb="study", such_as="scale=smoke")
    return Settings(
        scale=found.get("scale"),
        dry_run=truth("dry_run", found.get("dry_run", "false")),
        any_commit=truth("any_commit", found.get("any_commit", "false")),
        overrides=tuple(word for word in words if word not in own),
    )


def start(name: str, words: Sequence[str], *, seeds: int | None, on: str, submit: bool, console: Console) -> None:
    """Train all runs of a study that are missing, and judge.

    Raises:
        RecipeError: what is asked for cannot be compared, does not fit the machine or is unknown.
        DataError: its data are not prepared.
        RunError: another process is at it.
        CheckFailed: a run failed; the others were made all the same.
    """
    asked, where = settings(words), machine(on)
    of = form(load(name), asked.scale, asked.overrides, seeds=seeds)
    refuse_unlike(of)
    refuse_misfit(of, where)
    if asked.dry_run:
        _introduced(of, where, console)
        return
    with alone(of):
        recorded = _introduced(of, where, console)
        refuse_unready(of, where, submitted=submit)
        again = command(of, on=on, submit=submit)
        if submit:
            hand_over(of, where, recorded, console)
        failed = 0 if submit else _work(of, where, recorded, again, console)
        tell_missing(of, recorded.rows, again, console)
        tell_edges(of, recorded.rows, console)
        conclude(of, judge(of.study, of.name, recorded.results, any_commit=asked.any_commit), console)
    if failed:
        raise CheckFailed(f"{failed} runs of study {name} failed; `{again}` tries them again")


def _introduced(of: Form, machine: Machine, console: Console) -> Recorded:
    recorded = Recorded(of)
    introduce(of, machine, recorded.rows, console)
    tell_changed(recorded.changed, recorded.place, console)
    return recorded


def _work(of: Form, machine: Machine, recorded: Recorded, again: str, console: Console) -> int:
    """Run what is missing; how many runs failed."""
    with Watch(of, hours(remaining(of, recorded.rows), machine), console) as watch:
        queue = Queue(of, machine, recorded, watch)
        try:
            queue.work()
        except KeyboardInterrupt:
            watch.close()
            console.print("\nstopped; what has ended is kept, and what has begun goes on from its last step")
            tell_missing(of, recorded.rows, again, console)
            tell_edges(of, recorded.rows, console)
            stamp(of, console)
            raise
    tell_failed(queue.failed, console)
    return len(queue.failed)
