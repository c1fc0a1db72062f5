"""The first screen: what holds, what does not, and how sure we are."""

import math
from collections.abc import Sequence

from repro.claims.evidence.ran import Ran
from repro.claims.evidence.rows import Row
from repro.claims.evidence.study import Study
from repro.claims.evidence.verdicts import Verdict
from repro.claims.ledger import published
from repro.claims.report import claimed, numbers, pairs
from repro.claims.report.blocks import Block, Counts, Line, Mark, Note, Strong, Table, Text
from repro.claims.report.gathered import Gathered
from repro.recipe.display import short

HEADLINE = "table-1"  # its primary comparison is the paper's first claim: PolyNorm against SwiGLU
PAPER = {"dense-1b": 250e9, "moe-1b7b": 200e9}  # the paper's networks, and on how many tokens


def summary(found: Gathered) -> tuple[Block, ...]:
    """Before anything else."""
    study = next((each for each in found.studies if each.name == HEADLINE), None)
    return (
        Counts(claimed.counts(found.outcomes)),
        Text(claimed.by(found.outcomes)),
        *([_headline(study, found)] if study else ()),
        Note(evidence(found.ran)),
        *claimed.claimed(found.outcomes),
        *(_sizes(study, found) if study else ()),
        *claimed.named(found.outcomes),
    )


def of_study(found: Gathered) -> tuple[Block, ...]:
    """Before anything else on the page of one study."""
    study = found.studies[0]
    return (_headline(study, found), *_sizes(study, found), Note(evidence(found.ran)))


def evidence(ran: Sequence[Ran]) -> Line:
    """What all of it is evidence of, computed from the sizes that ran."""
    if not ran:
        return "No study has run here: nothing on this page but theory and arithmetic rests on a measurement."
    smoke = any(each.mechanism_only for each in ran)
    tail = " What is stamped mechanism only trained small networks for seconds: it tests the software." if smoke else ""
    real = [(each, row) for each in ran if not each.mechanism_only for row in each.results.rows if row.role == "main"]
    if not real:
        return (Strong("No evidence about the paper's networks yet."), tail)
    tokens = [(_size(each, row), row.tokens) for each, row in real]
    whole = {size for size, trained in tokens if trained > 0.99 * PAPER.get(size, math.inf)}
    rest = ", ".join(sorted({size for size, _ in tokens} - whole))
    if whole:
        beside = f" Beside it: {rest}." if rest else ""
        return (Strong(f"Evidence at the paper's size: {', '.join(sorted(whole))}."), f"{beside}{tail}")
    told = " Nothing here was trained at the paper's size on all of its tokens, so no number of its tables is repeated."
    return (Strong(f"Evidence about small networks or short runs: {rest}."), f"{told}{tail}")


def _size(ran: Ran, row: Row) -> str:
    """Family and scale, such as ``dense-10m``."""
    return f"{ran.study.family}-{numbers.scale(ran.study, ran.form, row.rung)}"


def _headline(study: Study, found: Gathered) -> Text:
    primary = study.primary
    ladder = found.ladders(study.name)[primary.text]
    title: Line = (
        Strong(f"{_named_arm(primary.a)} against {_named_arm(primary.b)}: "),
        Mark(ladder.status),
        f". {_sentence(ladder.why)} {_printed(study)}",
    )
    return Text(title)


def _sizes(study: Study, found: Gathered) -> list[Block]:
    """The comparison at each size, with all that says how sure it is: what is evidence first, the largest first."""
    shown = [(ran, v) for ran in reversed(found.of(study.name)) for v in ran.verdicts if v.comparison == study.primary]
    shown.sort(key=lambda pair: pair[0].mechanism_only)
    if not shown:
        return []
    measure = numbers.unit(study.primary.measure, study.family)
    header = ("networks", "verdict", f" {study.primary.a} less {study.primary.b} [95 %]", " pairs", " p", " would show",
              " noise of seeds", "trained on")  # fmt: skip
    caption = (
        f"{_named_arm(study.primary.a)} against {_named_arm(study.primary.b)}: differences in {measure}, paired by "
        "seed; would show: the smallest difference that so many pairs find in four of five cases"
    )
    return [Table(caption, header, tuple(_one(ran, verdict) for ran, verdict in shown), stacked=True)]


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


def _named_arm(arm: str) -> str:
    return {"polynorm": "PolyNorm", "swiglu": "SwiGLU", "polyrelu": "PolyReLU"}.get(arm, arm)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""
