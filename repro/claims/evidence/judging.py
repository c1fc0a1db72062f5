"""What a study says: each of its comparisons at each size, by rules that were there before it ran."""

from collections.abc import Sequence
from dataclasses import dataclass

from repro.claims.evidence import blocks
from repro.claims.evidence.pairing import Pairs, pairs
from repro.claims.evidence.rows import Results, Row
from repro.claims.evidence.stability import with_stable_factors
from repro.claims.evidence.study import MECHANISM, Comparison, Study
from repro.claims.evidence.verdicts import Status, Verdict
from repro.claims.statistics.equivalence import alike
from repro.claims.statistics.multiple import holm
from repro.claims.statistics.paired import Estimate, paired
from repro.claims.statistics.power import smallest_detectable

LEVEL = 0.05


@dataclass(frozen=True)
class Tested:
    """A comparison at one size, before others are considered.

    Attributes:
        pairs: the runs.
        status: not run or not resolved; None where a test decides.
        why: what stands in the way.
        estimate: where two pairs or more may be compared.
        p: of what is stated.
    """

    pairs: Pairs
    status: Status | None
    why: str
    estimate: Estimate | None = None
    p: float | None = None


def judge(study: Study, form: str, results: Results, *, any_commit: bool = False) -> list[Verdict]:
    """A verdict a comparison and size of a form, the primary comparison first.

    The primary one has its p as it is; those of the secondary ones are adjusted among themselves by Holm, at each size
    apart. ``<`` and ``>`` are decided by a paired t test, ``~`` by two one-sided ones, and contradicted where the whole
    95 % interval lies beyond the margin. What must not be compared is not resolved, and says why.

    Args:
        study: whose comparisons.
        form: of it.
        results: of that form.
        any_commit: whether the runs of a pair may be of two commits.
    """
    rows = with_stable_factors(results.rows, study.sweep) if study.sweep else results.rows
    note = f"; {results.place} was edited: {'; '.join(results.edited)}" if results.edited else ""
    verdicts = [
        _verdict(study, form, rung, tested, p, family, note)
        for rung in study.forms.get(form, {})
        for tested, p, family in _adjusted(_tests(study, form, rung, rows, any_commit))
    ]
    return sorted(verdicts, key=lambda verdict: study.comparisons.index(verdict.comparison))


def _tests(study: Study, form: str, rung: str, rows: Sequence[Row], any_commit: bool) -> list[Tested]:
    return [_tested(pairs(study, form, rung, each, rows), any_commit) for each in study.comparisons]


def _tested(of: Pairs, any_commit: bool) -> Tested:
    if why := blocks.not_run(of):
        return Tested(of, "not run", why)
    if why := blocks.unlike(of, any_commit=any_commit) or blocks.gaps(of):
        return Tested(of, "not resolved", why)
    differences = tuple(of.differences.values())
    estimate = paired(differences)
    if why := blocks.edges(of):
        return Tested(of, "not resolved", why, estimate)
    margin = of.comparison.margin if of.comparison.says == "~" else None
    return Tested(of, None, "", estimate, alike(differences, margin).p if margin else estimate.p)


def _adjusted(tests: Sequence[Tested]) -> list[tuple[Tested, float | None, int]]:
    """Each test with its p, and among how many it was made: the first is the primary one, and alone."""
    primary, *secondary = tests
    ps = [tested.p for tested in secondary if tested.p is not None]
    adjusted = iter(holm(ps))
    others = [(each, None if each.p is None else next(adjusted), len(ps)) for each in secondary]
    return [(primary, primary.p, 1), *others]


def _verdict(study: Study, form: str, rung: str, tested: Tested, p: float | None, family: int, note: str) -> Verdict:
    of, estimate = tested.pairs, tested.estimate
    show = smallest_detectable(estimate.sd, estimate.n, level=LEVEL / max(family, 1)) if estimate else None
    status = tested.status or _status(of.comparison, estimate, p)
    told = "; ".join(filter(None, (tested.why, _told(study, tested, status, p, show))))
    return Verdict(
        study=study.name,
        form=form,
        rung=rung,
        scale=study.forms[form][rung].scale,
        comparison=of.comparison,
        status=status,
        why=f"{told}{note}",
        estimate=estimate,
        p_adjusted=p,
        smallest_detectable=show,
        differences=of.differences,
        rates=of.rates,
        edges=of.edges,
        diverged=of.diverged,
        mechanism_only=form == MECHANISM,
    )


def _status(comparison: Comparison, estimate: Estimate | None, p: float | None) -> Status:
    assert estimate is not None
    assert p is not None
    if comparison.says == "~":
        margin = comparison.margin or 0.0
        apart = estimate.low > margin or estimate.high < -margin
        return "supported" if p < LEVEL else "contradicted" if apart else "not resolved"
    if p >= LEVEL:
        return "not resolved"
    return "supported" if (estimate.mean < 0) == (comparison.says == "<") else "contradicted"


def _told(study: Study, tested: Tested, status: Status, p: float | None, show: float | None) -> str:
    """The numbers in a line."""
    estimate, comparison = tested.estimate, tested.pairs.comparison
    if estimate is None:
        return ""
    primary = comparison == study.primary
    planned = study.seeds if primary else study.secondary_seeds
    pairs = f"{estimate.n} of {planned} planned pairs" if estimate.n < planned else f"{estimate.n} pairs"
    mean, low, high = (_number(value, comparison.measure) for value in (estimate.mean, estimate.low, estimate.high))
    parts = [
        f"{mean}{_unit(comparison.measure)} [{low}, {high}] over {pairs}",
        f"{'p' if primary else 'adjusted p'} = {p:.2g}" if p is not None else "",
        f"they would show {show:.2g}" if status == "not resolved" and show is not None and p is not None else "",
    ]
    return ", ".join(filter(None, parts))


def _unit(measure: str) -> str:
    return " nats" if measure.endswith("_loss") else ""


def _number(value: float, measure: str) -> str:
    """With four digits behind the point of a loss, as many as the tables of losses have."""
    return f"{value:+.4f}" if _unit(measure) and abs(value) < 1000 else f"{value:+.4g}"
