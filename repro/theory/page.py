"""What was computed, as a page with its figures, and as JSON for the ledger of claims."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from repro.digests import digest
from repro.markdown import code, plain, table
from repro.theory.figures import number
from repro.theory.findings import Curve, Finding

JSON = "theory.json"
PAGE = "README.md"
DIGITS = 16  # of the digest
READ = 20  # numbers at most that a person reads; of trained networks there are some for each seed

ABOUT = """\
Networks with explicit weights, built as the paper's section 3 and appendix say, and what they showed here. *Holds*
says whether what was computed agrees with the statement, and *holds, mended* that it does once a condition or a factor
is mended, where the paper's own words fail by a number that stands beside. *Observed* is what we looked at beside the
paper, which does not state it. It is no proof: sizes and errors are of the networks that
were built, and a rate is a slope over few sizes. Where the text of the paper, its proof and its construction differ,
the number that shows it stands beside.

In the figures marks are measured, lines are fitted to them on logarithms, dotted ones have the slope that the paper
gives, and dash-dotted ones that of our own construction where it is another. Marks with bars are medians over seeds,
with the smallest and the largest."""


def picture(finding: Finding) -> str:
    """The file of a finding's figure; nothing where there is nothing to draw."""
    return f"{finding.id}.png" if finding.curves else ""


def verdict(finding: Finding) -> str:
    """In a word, or three."""
    if finding.holds is None:
        return "observed"
    if not finding.holds:
        return "does not hold"
    return "holds" if finding.as_stated else "holds, mended"


def as_json(findings: Sequence[Finding], about: Mapping[str, str]) -> str:
    """For programs: every finding with its numbers and curves, what they were made with, and a digest of both."""
    made = {"made_with": dict(about), "findings": [_row(finding) for finding in findings]}
    return json.dumps(made | {"digest": digest(made, DIGITS)}, indent=1, allow_nan=False) + "\n"


def page(findings: Sequence[Finding], about: Mapping[str, str]) -> str:
    """Markdown that shows the figures beside it."""
    sections = [section for finding in findings for section in _section(finding)]
    made = ", ".join(f"{plain(what)} {plain(value)}" for what, value in about.items())
    parts = ["# The theory, as networks", ABOUT, _failed(findings), _table(findings), *sections]
    return "\n\n".join([*filter(None, parts), "## Made with", made]) + "\n"


def _failed(findings: Sequence[Finding]) -> str:
    failed = [finding.place for finding in findings if finding.holds is False]
    return f"**Does not hold: {plain('; '.join(failed))}.**" if failed else ""


def _table(findings: Sequence[Finding]) -> str:
    rows = [
        (plain(each.place), plain(each.claim), _strong(each), "yes, see below" if each.differs else "")
        for each in findings
    ]
    return table(("where", "statement", "here it", "paper differs from itself"), rows)


def _strong(finding: Finding) -> str:
    return f"**{verdict(finding)}**" if finding.holds is False else verdict(finding)


def _section(finding: Finding) -> list[str]:
    title = f"## {plain(finding.place)}" + (f" {verdict(finding)}" if finding.holds is False else "")
    parts = [title, plain(finding.claim), f"**Measured.** {plain(finding.measured)}"]
    if finding.differs:
        parts.append(f"**Differs.** {plain(finding.differs)}")
    if finding.curves:
        alt = f"{finding.y_label} against {finding.x_label}"
        parts += [f"![{plain(alt)}]({picture(finding)})", _slopes(finding)]
    if finding.numbers:
        parts.append(_numbers(finding))
    return parts


def _numbers(finding: Finding) -> str:
    if len(finding.numbers) > READ:
        return f"{len(finding.numbers)} numbers are in {code(JSON)}."
    rows = [(code(name), _figure(value)) for name, value in finding.numbers.items()]
    return table(("number", " value"), rows)


def _slopes(finding: Finding) -> str:
    header = ("line", f" {finding.x_label}", f" {finding.y_label}", " slope", " paper", " ours")
    return table(header, [_curve(curve) for curve in finding.curves])


def _curve(curve: Curve) -> tuple[str, ...]:
    ends = [f"{_figure(values[0])} to {_figure(values[-1])}" for values in (curve.x, curve.y)]
    given = ("" if slope is None else number(slope) for slope in (curve.paper, curve.ours))
    return plain(curve.name), *ends, number(curve.slope), *given


def _figure(value: float | int | str) -> str:
    """Four digits of what was measured; counts whole."""
    if isinstance(value, str):
        return plain(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if value == int(value) else f"{value:.4g}"


def _row(finding: Finding) -> dict[str, Any]:
    return asdict(finding) | {"numbers": dict(finding.numbers), "figure": picture(finding)}
