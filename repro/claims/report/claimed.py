"""The claims of the first screen: how many have which verdict, what the paper claims above all, and what else holds."""

import re
from collections import Counter
from collections.abc import Sequence

from repro.claims.evidence.verdicts import Status
from repro.claims.ledger.claims import KINDS
from repro.claims.ledger.kinds import RUNS, TIMED, kind
from repro.claims.ledger.outcome import DRAWN, HERE, PRINTED, Outcome
from repro.claims.report import numbers
from repro.claims.report.blocks import STATUSES, Block, Code, Columns, Line, Link, Mark, Strong, Table

NAMED = 5  # claims of one verdict that the first screen has room for
SIZE = re.compile(r"\S+: ")  # what a part of the evidence begins with that is of one size
DEFINITIONS = "Definitions"  # the group of claims that say what something is
EVIDENCE = (RUNS, TIMED, HERE, DRAWN, PRINTED)


def counts(outcomes: Sequence[Outcome]) -> dict[Status, int]:
    """How many have each verdict."""
    counted = Counter(outcome.status for outcome in outcomes)
    return {status: counted[status] for status in STATUSES}


def by(outcomes: Sequence[Outcome]) -> Line:
    """What decided those that are supported: a table that adds up is no network that was trained."""
    supported = [outcome for outcome in outcomes if outcome.status == "supported"]
    counted = Counter(kind(outcome.claim) for outcome in supported)
    told = ", ".join(f"{name} {counted[name]}" for name in EVIDENCE)
    line = f"{len(outcomes)} claims. What the supported ones rest on: {told}."
    read = [outcome.source.partition(":")[0] for outcome in supported if outcome.where != outcome.scale]
    if not read:
        return line
    files = [piece for file in dict.fromkeys(read) for piece in (", ", Code(file))][1:]
    return (f"{line} Of those computed {len(read)} are read from ", *files, ", which the kit comes with.")


def claimed(outcomes: Sequence[Outcome]) -> list[Block]:
    """The claims that the paper is about, each with its verdict, those that take training first."""
    shown = sorted((outcome for outcome in outcomes if outcome.claim.headline), key=_rank)
    rows = tuple(_claim(outcome) for outcome in shown)
    header = ("claim", "statement", "verdict", "what that rests on")
    return [Table("What the paper claims above all", header, rows, stacked=True)] if rows else []


def _claim(outcome: Outcome) -> tuple[Line, ...]:
    claim = outcome.claim
    return (
        (Link(claim.id, anchor(outcome)), f", {claim.place}"),
        " ".join(claim.statement.split()),
        Mark(outcome.status, stamped=stamped(outcome)),
        ("nothing yet: ", Code(claim.command)) if outcome.status == "not run" else _short(outcome),
    )


def _short(outcome: Outcome) -> str:
    """What it rests on; of several sizes what they come to, which names them, and the numbers of the last alone."""
    if not outcome.claim.check.study:
        return f"{outcome.where}: {outcome.measured}"
    parts = outcome.measured.split("; ")
    sizes = [place for place, part in enumerate(parts) if SIZE.match(part)]
    return "; ".join([*parts[: sizes[0]], *parts[sizes[-1] :]]) if sizes else outcome.measured


def named(outcomes: Sequence[Outcome]) -> list[Block]:
    """The other claims by verdict."""
    titles: dict[Status, str] = {
        "supported": "What else holds",
        "contradicted": "What else does not",
        "not resolved": "What else is not settled",
    }
    lists = [(Strong(title), lines) for status, title in titles.items() if (lines := _others(outcomes, status))]
    return [Columns(tuple(lists))] if lists else []


def _others(outcomes: Sequence[Outcome], status: Status) -> tuple[Line, ...]:
    """Definitions that the kit's modules meet are no findings about networks, and are counted alone."""
    own = [outcome for outcome in outcomes if outcome.status == status and not outcome.claim.headline]
    met = [outcome for outcome in own if status == "supported" and outcome.claim.group == DEFINITIONS]
    found = sorted((outcome for outcome in own if outcome not in met), key=_rank)
    lines: list[Line] = [
        (Link(outcome.claim.id, anchor(outcome)), f" {_brief(outcome)}, {outcome.where}") for outcome in found[:NAMED]
    ]
    if (more := len(found) - NAMED) > 0:
        lines.append((f"and {more} more in ", Link("the ledger", "ledger")))
    if met:
        lines.append((f"Beside them {len(met)} ", Link("definitions", anchor(met[0])), " that the kit's modules meet"))
    return tuple(lines)


def _rank(outcome: Outcome) -> int:
    """Trained or timed first: a reader cannot work it out alone."""
    return KINDS.index(outcome.claim.check.kind)


def stamped(outcome: Outcome) -> bool:
    """Whether it rests on networks that show a mechanism and no more."""
    return numbers.STAMP in outcome.scale


def anchor(outcome: Outcome) -> str:
    """Of the claim's row in the ledger's table: that of its group."""
    return f"ledger-{slug(outcome.claim.group)}"


def slug(text: str) -> str:
    """Words as an anchor or as a file's name."""
    return "-".join("".join(c if c.isalnum() and c.isascii() else " " for c in text.lower()).split()) or "x"


def _brief(outcome: Outcome) -> str:
    """The statement without its end, where it is long."""
    text = " ".join(outcome.claim.statement.split()).rstrip(".")
    return text if len(text) <= 80 else f"{text[:77].rsplit(' ', 1)[0]} ..."
