"""The first screen: what holds, what does not, and how sure we are."""

import math
from collections import Counter
from collections.abc import Sequence

from repro.claims.evidence.ran import Ran
from repro.claims.evidence.rows import Row
from repro.claims.evidence.study import Study
from repro.claims.evidence.verdicts import Status, Verdict
from repro.claims.ledger import published
from repro.claims.ledger.claims import KINDS
from repro.claims.ledger.outcome import Outcome
from repro.claims.report import numbers, pairs
from repro.claims.report.blocks import STATUSES, Block, Columns, Counts, Line, Link, Mark, Note, Strong, Table, Text
from repro.claims.report.gathered import Gathered
from repro.recipe.display import short

HEADLINE = "table-1"  # its primary comparison is the paper's first claim: PolyNorm against SwiGLU
PAPER = {"dense-1b": 250e9, "moe-1b7b": 200e9}  # the paper's networks, and on how many tokens
NAMED = 5  # claims of one verdict that the first screen has room for


def summary(found: Gathered) -> tuple[Block, ...]:
    """Before anything else."""
    headline = next((each for each in found.studies if each.name == HEADLINE), None)
    return (
        Counts(_counts(found.outcomes)),
        Text(_by(found.outcomes)),
        *(_headline(headline, found) if headline else ()),
        Note(evidence(found.ran)),
        *_named(found.outcomes),
    )


def of_study(found: Gathered) -> tuple[Block, ...]:
    """Before anything else on the page of one study."""
    return (*_headline(found.studies[0], found), Note(evidence(found.ran)))


def evidence(ran: Sequence[Ran]) -> Line:
    """What all of it is evidence of, computed from the sizes that ran."""
    if not ran:
        return "No study has run here: nothing on this page but theory and arithmetic rests on a measurement."
    smoke = any(each.mechanism_only for each in ran)
    tail = " What is stamped mechanism only ran for minutes on small networks: it tests the software." if smoke else ""
    rows = [row for each in ran if not each.mechanism_only for row in each.results.rows if row.role == "main"]
    if not rows:
        return (Strong("No evidence about the paper's networks yet."), tail)
    whole = {_size(row) for row in rows if row.tokens > 0.99 * PAPER.get(_size(row), math.inf)}
    rest = ", ".join(sorted({_size(row) for row in rows} - whole))
    if whole:
        beside = f" Beside it: {rest}." if rest else ""
        return (Strong(f"Evidence at the paper's size: {', '.join(sorted(whole))}."), f"{beside}{tail}")
    told = " Nothing here was trained at the paper's size on all of its tokens, so no number of its tables is repeated."
    return (Strong(f"Evidence about small networks or short runs: {rest}."), f"{told}{tail}")


def _size(row: Row) -> str:
    """Family and scale, such as ``dense-10m``."""
    return "-".join(row.recipe.split("-")[:2])


def _headline(study: Study, found: Gathered) -> tuple[Block, ...]:
    primary = study.primary
    ladder = found.ladders(study.name)[primary.text]
    title: Line = (
        Strong(f"{_named_arm(primary.a)} against {_named_arm(primary.b)}: "),
        Mark(ladder.status),
        f". {_sentence(ladder.why)} {_printed(study)}",
    )
    # what is evidence first, the largest first
    shown = [(ran, v) for ran in reversed(found.of(study.name)) for v in ran.verdicts if v.comparison == primary]
    shown.sort(key=lambda pair: pair[0].mechanism_only)
    return (Text(title), *([_sizes(study, shown)] if shown else []))


def _sizes(study: Study, shown: Sequence[tuple[Ran, Verdict]]) -> Table:
    """The comparison at each size, with all that says how sure it is."""
    measure = numbers.unit(study.primary.measure, study.family)
    header = ("networks", "verdict", f" {study.primary.a} less {study.primary.b} [95 %]", " pairs", " p", " would show",
              " noise of seeds", "trained on")  # fmt: skip
    caption = (
        f"Differences in {measure}, paired by seed; would show: the smallest difference that so many pairs find in "
        "four of five cases"
    )
    return Table(caption, header, tuple(_one(ran, verdict) for ran, verdict in shown), stacked=True)


def _one(ran: Ran, verdict: Verdict) -> tuple[Line, ...]:
    estimate, rows = verdict.estimate, ran.main(verdict.rung)
    noise = pairs.noise(rows)
    return (
        numbers.size(ran.study, ran.form, verdict.rung),
        Mark(verdict.status, stamped=verdict.mechanism_only),
        numbers.estimated(estimate) if estimate else verdict.why,
        str(estimate.n) if estimate else str(len(verdict.differences)),
        numbers.probability(verdict.p_adjusted),
        numbers.shown(verdict.smallest_detectable, 2),
        numbers.shown(noise.sd, 2) if noise else "",
        _budget(ran, rows),
    )


def _budget(ran: Ran, rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    tokens = numbers.listed(short(row.tokens) for row in rows if row.diverged_at is None)
    what = "images" if ran.study.family in ("resnet50", "mlp") else "tokens"
    return f"{tokens} {what}, {numbers.listed(row.device for row in rows)}"


def _printed(study: Study) -> str:
    if study.name != HEADLINE:
        return ""
    a, b = study.primary.a, study.primary.b
    cells = {cell.row: cell.text for cell in published.table(1) if cell.column == "train_loss"}
    if not {a, b} <= cells.keys():
        return ""
    return (
        f"The paper prints a training loss of {cells[a]} against {cells[b]} at 1.3 B parameters and 250 B tokens, of "
        "one run each."
    )


def _counts(outcomes: Sequence[Outcome]) -> dict[Status, int]:
    counted = Counter(outcome.status for outcome in outcomes)
    return {status: counted[status] for status in STATUSES}


def _by(outcomes: Sequence[Outcome]) -> str:
    """What decided those that are supported: a table that adds up is no network that was trained."""
    words = {
        "study": "runs",
        "measured": "benchmarks",
        "finding": "computed theory",
        "arithmetic": "printed numbers alone",
    }
    counted = Counter(outcome.claim.check.kind for outcome in outcomes if outcome.status == "supported")
    told = ", ".join(f"{counted[name]} by {by}" for name, by in words.items())
    return f"{len(outcomes)} claims. Of the supported ones {told}."


def _named(outcomes: Sequence[Outcome]) -> list[Block]:
    """Claims by verdict."""
    titles: dict[Status, str] = {
        "supported": "What holds",
        "contradicted": "What does not",
        "not resolved": "What is not settled",
    }
    lists = [(Strong(title), lines) for status, title in titles.items() if (lines := _claims(outcomes, status))]
    return [Columns(tuple(lists))] if lists else []


def _claims(outcomes: Sequence[Outcome], status: Status) -> tuple[Line, ...]:
    own = (outcome for outcome in outcomes if outcome.status == status)
    found = sorted(own, key=lambda outcome: (not outcome.claim.headline, KINDS.index(outcome.claim.check.kind)))
    lines: list[Line] = [
        (Link(outcome.claim.id, anchor(outcome)), f" {_brief(outcome)}, {outcome.scale}") for outcome in found[:NAMED]
    ]
    if more := len(found) - NAMED:
        lines += [(f"and {more} more in ", Link("the ledger", "ledger"))] if more > 0 else []
    return tuple(lines)


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


def _named_arm(arm: str) -> str:
    return {"polynorm": "PolyNorm", "swiglu": "SwiGLU", "polyrelu": "PolyReLU"}.get(arm, arm)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""
