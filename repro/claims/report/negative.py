"""What was not found, or was found to be otherwise: as much of a result as the rest."""

from repro.claims.evidence.ran import Ran
from repro.claims.evidence.verdicts import Verdict
from repro.claims.report import numbers
from repro.claims.report.blocks import Block, Line, Link, Mark, Section, Table, Text
from repro.claims.report.gathered import Gathered
from repro.claims.report.one_study import anchor

NEGATIVE = ("contradicted", "not resolved")


def negative(found: Gathered) -> Section:
    """Every comparison, and every claim of theory and arithmetic, that did not come out as stated."""
    verdicts = [(ran, verdict) for ran in found.ran for verdict in ran.verdicts if verdict.status in NEGATIVE]
    evidence = tuple(_row(*pair) for pair in verdicts if not pair[1].mechanism_only)
    stamped = tuple(_row(*pair) for pair in verdicts if pair[1].mechanism_only)
    claims: list[tuple[Line, ...]] = [
        (outcome.claim.id, outcome.claim.statement, Mark(outcome.status), outcome.measured)
        for outcome in found.outcomes
        if outcome.status in NEGATIVE and outcome.claim.check.study is None
    ]
    header = ("where", "what was stated", "verdict", "what it rests on")
    tables = (
        Table("Comparisons of studies that do not support what is stated", header, evidence, stacked=True),
        Table("Claims of theory, text and tables", ("claim", *header[1:]), tuple(claims), stacked=True),
        Table(f"Comparisons, {numbers.STAMP}", header, stamped, stacked=True),
    )
    blocks: tuple[Block, ...] = tuple(table for table in tables if table.rows)
    return Section("Negative results", "negative", blocks or (Text("None so far."),))


def _row(ran: Ran, verdict: Verdict) -> tuple[Line, ...]:
    return (
        (Link(ran.study.name, anchor(ran.study.name)), f" {numbers.size(ran.study, ran.form, verdict.rung)}"),
        numbers.words(verdict.comparison),
        Mark(verdict.status, stamped=verdict.mechanism_only),
        verdict.why,
    )
