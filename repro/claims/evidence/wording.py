"""A verdict's reasons and numbers in a line."""

from collections.abc import Collection

from repro.claims.evidence.pairing import Pairs
from repro.claims.evidence.rows import Results
from repro.claims.evidence.study import Comparison
from repro.claims.evidence.testing import Tested
from repro.claims.evidence.verdicts import LEVEL, Status
from repro.claims.statistics.paired import Estimate
from repro.claims.statistics.signs import Signs


def why(each: Tested, status: Status, p: float | None, show: float | None, family: int | None) -> str:
    """What stands in the way, and the numbers.

    Args:
        each: a comparison at one size.
        status: that it comes to.
        p: adjusted.
        show: the difference that so many pairs would show; None where nobody can say.
        family: comparisons among which it was made; None of the primary one.
    """
    parts = [each.why]
    if isinstance(each.found, Estimate):
        parts.append(_of_means(each.found, each.pairs.comparison, _p(p, family), _show(status, p, show)))
    if isinstance(each.found, Signs):
        parts.append(_of_signs(each.found, each.pairs.comparison.a, _p(p, family)))
        parts.append(_too_few(each.found, family or 1))
    return _joined("; ", *parts)


def notes(of: Pairs, results: Results, changed: Collection[str]) -> str:
    """What a reader has to know of the runs: which were left out, and whether all is as it was named and written.

    Args:
        of: the runs.
        results: that they are of.
        changed: arms that are set up otherwise than when they were named.
    """
    extra, arms = of.unplanned, [side.arm for side in of.sides if side.arm in changed]
    return _joined(
        "; ",
        f"not planned, so left out: seed{'s' if len(extra) > 1 else ''} {', '.join(map(str, extra))}" if extra else "",
        f"set up otherwise when it was named: {', '.join(arms)}" if arms else "",
        "" if results.planned else "what was named before it ran is not kept",
        f"{results.place} was edited: {'; '.join(results.edited)}" if results.edited else "",
    )


def _of_means(found: Estimate, comparison: Comparison, p: str, show: str) -> str:
    mean, low, high = (_number(value, comparison) for value in (found.mean, found.low, found.high))
    unit = f" {comparison.unit}" if comparison.unit else ""
    return _joined(", ", f"{mean}{unit} [{low}, {high}] over {found.n} pairs", p, show)


def _of_signs(found: Signs, arm: str, p: str) -> str:
    return _joined(", ", f"{arm} is lower at {found.lower} and higher at {found.higher} of {found.n} pairs", p)


def _too_few(found: Signs, family: int) -> str:
    least = min(1.0, found.least * family)
    return f"of {found.n} pairs no p is below {least:.2g}" if least >= LEVEL else ""


def _p(p: float | None, family: int | None) -> str:
    if p is None:
        return ""
    return f"p = {p:.2g}" if family is None else f"adjusted p = {p:.2g}"


def _show(status: Status, p: float | None, show: float | None) -> str:
    return f"they would show {show:.2g}" if status == "not resolved" and p is not None and show is not None else ""


def _number(value: float, comparison: Comparison) -> str:
    """With four digits behind the point of a loss, as many as the tables of losses have."""
    return f"{value:+.4f}" if comparison.unit and abs(value) < 1000 else f"{value:+.4g}"


def _joined(between: str, *parts: str) -> str:
    return between.join(filter(None, parts))
