"""The ledger as tables: every claim with its verdict, a table a group."""

from collections.abc import Sequence
from itertools import groupby

from repro.claims.ledger.claims import Published
from repro.claims.ledger.outcome import Outcome
from repro.claims.report.blocks import STATUSES, Aside, Block, Code, Line, Link, Mark, Section, Table, Text
from repro.claims.report.claimed import anchor, stamped
from repro.claims.report.gathered import Gathered
from repro.claims.report.numbers import STAMP

HEADER = ("claim", "statement", "verdict", "measured here", "the paper prints")


def ledger(found: Gathered) -> Section:
    """All claims, by group in the ledger's order."""
    groups = [tuple(group) for _, group in groupby(found.outcomes, key=lambda outcome: outcome.claim.group)]
    about = Text(
        "A verdict is computed from the results that lie here, by the criterion under the statement; where none "
        "decides a claim the command that would stands beside it."
    )
    blocks: tuple[Block, ...] = tuple(_group(group) for group in groups)
    return Section("Every claim", "ledger", (about, _counted(groups), *blocks))


def _counted(groups: Sequence[Sequence[Outcome]]) -> Table:
    """How many claims of each group have each verdict."""
    rows = tuple(_tally(group) for group in groups)
    return Table("Claims by group and verdict", ("group", *(f" {status}" for status in STATUSES)), rows)


def _tally(group: Sequence[Outcome]) -> tuple[Line, ...]:
    counts = (sum(outcome.status == status for outcome in group) for status in STATUSES)
    return Link(group[0].claim.group, anchor(group[0])), *map(str, counts)


def _group(outcomes: tuple[Outcome, ...]) -> Section:
    rows = tuple(_row(outcome) for outcome in outcomes)
    group = outcomes[0].claim.group
    return Section(group, anchor(outcomes[0]), (Table(f"Claims: {group}", HEADER, rows, stacked=True),), level=3)


def _row(outcome: Outcome) -> tuple[Line, ...]:
    claim = outcome.claim
    notes = (Aside(f"Note: {_sentence(caveat)}") for caveat in claim.caveats)
    verdict = (Mark(outcome.status, stamped=stamped(outcome)), f", {scale}" if (scale := _scale(outcome)) else "")
    return (
        f"{claim.id}, {claim.place}",
        (_sentence(claim.statement), Aside(f"Criterion: {_sentence(claim.criterion)}"), *notes),
        verdict,
        _measured(outcome),
        _printed(outcome),
    )


def _sentence(text: str) -> str:
    """On one line, with its full stop."""
    return f"{' '.join(text.split()).rstrip('.')}."


def _scale(outcome: Outcome) -> str:
    """Without the stamp, which the verdict has."""
    return "" if outcome.status == "not run" else outcome.where.replace(f", {STAMP}", "").replace(STAMP, "")


def _measured(outcome: Outcome) -> Line:
    if outcome.status != "not run":
        return outcome.measured
    why = outcome.measured or outcome.claim.check.needs or ""
    return (f"{why.rstrip('.')}. " if why else "", Code(outcome.claim.command), f" ({outcome.claim.scale})")


def _printed(outcome: Outcome) -> str:
    printed = outcome.claim.published
    if printed is None:
        return ""
    seeds = "" if printed.seeds is None else f", {printed.seeds} run{'' if printed.seeds == 1 else 's'} each"
    return f"{printed.text}{_rounding(printed)}{seeds}"


def _rounding(printed: Published) -> str:
    """How far off what is printed may be for its digits alone, in its own unit."""
    if printed.rounding is None:
        return ""
    if printed.cut:
        return f" (digits cut: up to {2 * printed.rounding:g} more)"
    return f" (rounded to within {printed.rounding:g})"
