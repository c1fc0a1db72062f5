"""Which runs of a study are due: brackets, what their edges ask for, and then what is measured."""

from collections.abc import Collection, Iterable, Sequence

from repro.claims.evidence.choice import Choice, chosen
from repro.claims.evidence.rows import Row
from repro.claims.evidence.study import Bracket
from repro.studies.asked import Asked, Form, Key


def due(of: Form, rows: Iterable[Row], without: Collection[Key] = ()) -> list[Asked]:
    """The runs that can be started now: of an arm without a rate, those of its bracket, else those that are measured.

    Brackets come first, and seeds one after the other, so that a study that is stopped has whole pairs. Arms whose best
    rate is at an edge of all that were tried come last: no verdict is given of them.

    Args:
        of: the study.
        rows: of runs that are there.
        without: runs that are not to be tried again.
    """
    rows = tuple(rows)
    there = {key_of(row) for row in rows} | set(without)
    asked = [run for rung, arm in of.places for run in _of_arm(of, rows, rung, arm)]
    last = at_edges(of, rows)
    missing = (run for run in asked if run.key not in there)
    return sorted(missing, key=lambda run: (run.role, (run.rung, run.arm) in last, run.seed))


def remaining(of: Form, rows: Iterable[Row]) -> list[Asked]:
    """All runs that are missing; at the recipe's own rate where none is chosen yet."""
    rows = tuple(rows)
    there = {key_of(row) for row in rows}
    asked = [*due(of, rows), *(run for place in of.places for run in _measured(of, rows, *place))]
    return [run for key, run in {run.key: run for run in asked}.items() if key not in there]


def rate(of: Form, rows: Sequence[Row], rung: str, arm: str) -> Choice | None:
    """The rate of an arm, once its bracket is whole and no wider one is asked for."""
    return None if of.bracket is None or _bracket(of, rows, rung, arm) else chosen(rows, arm, rung)


def at_edges(of: Form, rows: Sequence[Row]) -> dict[tuple[str, str], Choice]:
    """By size and arm, the rates that are at an edge of all that were tried, with no wider one to come."""
    found = {place: rate(of, rows, *place) for place in of.places}
    return {place: choice for place, choice in found.items() if choice and choice.at_edge}


def wider(choice: Choice, bracket: Bracket) -> float | None:
    """The factor to try beyond the edge at which the best is; None where it is at none, or far enough out."""
    tried = sorted(choice.losses)
    if not choice.at_edge:
        return None
    first, *_, last = sorted(bracket.factors)
    if choice.factor == tried[0]:
        beyond, ratio = [factor for factor in tried if factor < first], sorted(bracket.factors)[1] / first
        following = tried[0] / ratio
    else:
        beyond, ratio = [factor for factor in tried if factor > last], last / sorted(bracket.factors)[-2]
        following = tried[-1] * ratio
    return following if len(beyond) < bracket.widen else None


def key_of(row: Row) -> Key:
    """Which run a row is of."""
    return row.role, row.rung, row.arm, row.factor, row.seed


def _of_arm(of: Form, rows: Sequence[Row], rung: str, arm: str) -> list[Asked]:
    return _bracket(of, rows, rung, arm) or _measured(of, rows, rung, arm)


def _bracket(of: Form, rows: Sequence[Row], rung: str, arm: str) -> list[Asked]:
    """What of a bracket is missing, wider ones included."""
    there = {key_of(row) for row in rows}
    missing = [run for run in of.bracketing(rung, arm) if run.key not in there]
    if missing or of.bracket is None:
        return missing
    factor = wider(chosen(rows, arm, rung), of.bracket)
    return [] if factor is None else [of.run("bracket", rung, arm, factor, of.bracket.seed)]


def _measured(of: Form, rows: Sequence[Row], rung: str, arm: str) -> list[Asked]:
    choice = rate(of, rows, rung, arm)
    return of.measured(rung, arm, of.study.sweep or (choice.factor if choice else 1.0,))
