"""A study: its question, what was named before it ran, what it came to and what that rests on."""

from repro.claims.evidence.ran import Ran
from repro.claims.evidence.study import SAYS, Study
from repro.claims.evidence.verdicts import Verdict
from repro.claims.report import arms, charts, missing, numbers
from repro.claims.report.blocks import Block, Figure, Figures, Line, Mark, Note, Section, Strong, Table, Text
from repro.claims.report.gathered import Gathered

STAMPED = (
    "Mechanism only: these networks trained for seconds. They show that the software runs and that the mechanism is "
    "there, and are no evidence for or against the paper."
)
HEADER = ("comparison", "verdict", "a - b of each seed", " mean, 95 % interval", " p", " adjusted p", " would show",
          "why")  # fmt: skip


def anchor(name: str) -> str:
    """Of a study's section."""
    return f"study-{name}"


def study(found: Gathered, of: Study) -> Section:
    """All forms of it that ran."""
    blocks: list[Block] = [Text((Strong("Question. "), of.question)), Text(_named_before(of)), _over(found, of)]
    blocks += [_form(ran) for ran in reversed(found.of(of.name))]  # the largest first
    if not found.of(of.name):
        blocks.append(Text(("Nothing of it has run here. ", *missing.command(of, of.default))))
    return Section(f"{of.name}: {of.about}", anchor(of.name), tuple(blocks), level=3)


def _named_before(of: Study) -> Line:
    primary = of.primary
    margin = f" within {primary.margin:g}" if primary.margin is not None else ""
    measure = primary.measure.replace("_", " ")
    return (
        Strong("Named before it ran. "),
        f"Primary comparison: the {measure} of {primary.a} {SAYS[primary.says]} that of {primary.b}{margin}, ",
        f"{of.seeds} seeds. Secondary comparisons: {len(of.secondary)}, of {of.secondary_seeds} seeds, p by Holm. ",
        f"The paper's {of.paper}." if of.paper else "Not of the paper.",
    )


def _over(found: Gathered, of: Study) -> Table:
    """What each comparison comes to over sizes."""
    rows = tuple(
        (text + (" (primary)" if text == of.primary.text else ""), Mark(ladder.status), ladder.scale, ladder.why)
        for text, ladder in found.ladders(of.name).items()
    )
    caption = "Over all sizes; what is mechanism only never counts, and more than half of two or more have to agree"
    return Table(caption, ("comparison", "verdict", "sizes", "why"), rows, stacked=True)


def _form(ran: Ran) -> Section:
    title = f"{ran.study.name} at {ran.form}" + (f" ({numbers.STAMP})" if ran.mechanism_only else "")
    blocks: list[Block] = [Note(STAMPED)] if ran.mechanism_only else []
    blocks += [Note(f"Edited after it was written: {line}.") for line in ran.results.edited]
    blocks += [Note(f"{ran.results.passed_over.rstrip('.')}.")] if ran.results.passed_over else []
    blocks += [_verdicts(ran), *_figures(ran)]
    for rung in ran.rungs:
        blocks += [*arms.levels(ran, rung), *arms.sooner(ran, rung), arms.costs(ran, rung), *arms.ranks(ran, rung)]
    return Section(title, f"{anchor(ran.study.name)}-{ran.form}", (*blocks, *arms.law(ran)), level=4)


def _figures(ran: Ran) -> list[Block]:
    drawn: list[Figure | None] = [*charts.verdicts(ran), charts.sizes(ran)]
    for rung in ran.rungs:
        drawn += [charts.rates(ran, rung), charts.curves(ran, rung)]
    found = tuple(figure for figure in drawn if figure is not None)
    return [Figures(found)] if found else []


def _verdicts(ran: Ran) -> Table:
    rows = tuple(_verdict(ran, verdict) for verdict in ran.verdicts)
    what = f" {numbers.STAMP};" if ran.mechanism_only else ""
    caption = (
        f"Verdicts at {ran.form};{what} differences of paired seeds in the unit of the measure (of a loss "
        f"{numbers.unit('validation_loss', ran.study.family)}), negative where a is lower; would show: the smallest "
        "difference that so many pairs find in four of five cases"
    )
    return Table(caption, HEADER, rows, stacked=True)


def _verdict(ran: Ran, verdict: Verdict) -> tuple[Line, ...]:
    """A mean stands out only where its interval leaves out 0 and it decides something."""
    estimate = verdict.estimate
    mean: Line = numbers.estimated(estimate) if estimate else ""
    if estimate and decides(verdict):
        mean = (Strong(numbers.signed(estimate.mean)), f" {numbers.interval(estimate.low, estimate.high)}")
    rung = "" if (verdict.rung,) == ran.rungs else f", {verdict.rung}"
    primary = " (primary)" if verdict.comparison == ran.study.primary else ""
    return (
        f"{numbers.words(verdict.comparison)}{rung}{primary}",
        Mark(verdict.status, stamped=verdict.mechanism_only),
        numbers.each_seed(verdict),
        mean,
        numbers.probability(estimate.p if estimate else None),
        numbers.probability(verdict.p_adjusted),
        numbers.shown(verdict.smallest_detectable, 2),
        verdict.why if verdict.p_adjusted is None or estimate is None else "",
    )


def decides(verdict: Verdict) -> bool:
    """Whether a difference was shown, at a size that is evidence."""
    shown = verdict.status in ("supported", "contradicted") and numbers.excludes_zero(verdict.estimate)
    return shown and not verdict.mechanism_only
