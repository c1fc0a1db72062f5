"""`repro claims`: the ledger with what each claim comes to, as a person sees it."""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any, get_args

from rich.console import Console
from rich.table import Table
from rich.text import Text

from repro.claims.evidence.verdicts import Status
from repro.claims.ledger.checks import outcomes
from repro.claims.ledger.kinds import KINDS, kind
from repro.claims.ledger.outcome import Outcome

STATUSES: tuple[Status, ...] = get_args(Status)
STYLES = {"supported": "green", "contradicted": "bold red", "not resolved": "yellow", "not run": "dim"}
SCALES = ("CPU seconds", "one GPU", "full scale")


def start(*, as_json: bool, console: Console) -> None:
    """Print every claim with its status and what decides it; counts, and what to run next.

    Raises:
        RecipeError: the ledger is wrong.
    """
    found = outcomes()
    if as_json:
        print(json.dumps([row(outcome) for outcome in found], indent=1, ensure_ascii=False))
        return
    for group, members in groupby(found, key=lambda outcome: outcome.claim.group):
        console.print(Text(f"\n{group}", "bold"))
        console.print(_table(list(members)))
    console.print()
    console.print(_counts(found))
    _next(found, console)


def row(outcome: Outcome) -> dict[str, Any]:
    """The keys of ``claims --json``."""
    claim = outcome.claim
    printed = claim.published
    return {
        "id": claim.id,
        "status": outcome.status,
        "scale": outcome.scale,
        "published": printed and printed.text,
        "measured": outcome.measured,
        "rounding": printed and printed.rounding,
        "cut": bool(printed and printed.cut),
        "seeds": printed and printed.seeds,
        "group": claim.group,
        "place": claim.place,
        "statement": claim.statement,
        "check": claim.check.model_dump(mode="json", exclude_defaults=True),
        "criterion": claim.criterion,
        "kind": kind(claim),
        "source": outcome.source,
        "command": claim.command,
        "caveats": list(claim.caveats),
    }


def _table(members: Sequence[Outcome]) -> Table:
    view = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    view.add_column(no_wrap=True)
    view.add_column(no_wrap=True)
    view.add_column(ratio=1)
    for outcome in members:
        said = Text(outcome.status, STYLES[outcome.status])
        view.add_row(outcome.claim.id, said, Text(f"{outcome.claim.statement} ({outcome.claim.place})"))
        if outcome.measured:
            where = f"{outcome.where}: " if outcome.status != "not run" else ""
            view.add_row("", "", Text(f"{where}{outcome.measured}", "dim"))
    return view


def _counts(found: Sequence[Outcome]) -> Table:
    """By kind of evidence, or of what is waited for: that a table adds up is not that a model does better."""
    view = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    view.add_column(f"{len(found)} claims")
    for status in STATUSES:
        view.add_column(Text(status, STYLES[status]), justify="right")
    counted = Counter((kind(outcome.claim), outcome.status) for outcome in found)
    for each in KINDS:
        view.add_row(each, *(str(counted[each, status]) for status in STATUSES))
    view.add_row("in all", *(str(sum(counted[each, status] for each in KINDS)) for status in STATUSES))
    return view


def _next(found: Sequence[Outcome], console: Console) -> None:
    """Commands that decide what is open, those that take the least first; and how much no command here decides."""
    waits = [each for each in found if each.status in ("not run", "not resolved")]
    open_ = sorted((each.claim for each in waits if not each.claim.check.needs), key=lambda c: SCALES.index(c.scale))
    claims: dict[tuple[str, str], list[str]] = {}
    for claim in open_:
        claims.setdefault((claim.scale, claim.command), []).append(claim.id)
    view = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for (scale, command), names in claims.items():
        view.add_row(scale, Text(command), Text(", ".join(names)))
    if claims:
        console.print(Text("\nTo run next", "bold"))
        console.print(view)
    if any(each.claim.check.study for each in waits):
        console.print("A claim about training takes two sizes that agree: one other scale= of its study too.")
    if without := len(waits) - len(open_):
        console.print(f"\n{without} more need what is said there, such as full scale; no command here decides them.")
