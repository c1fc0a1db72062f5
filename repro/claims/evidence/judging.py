"""What a study says: each of its comparisons at each size, by rules that were there before it ran."""

from dataclasses import dataclass

from repro.claims.evidence import naming, wording
from repro.claims.evidence.pairing import pairs
from repro.claims.evidence.rows import Named, Results, Row
from repro.claims.evidence.stability import with_stable_factors
from repro.claims.evidence.study import MECHANISM, Comparison, Study
from repro.claims.evidence.testing import Tested, tested
from repro.claims.evidence.verdicts import LEVEL, Verdict, leans, status
from repro.claims.statistics.multiple import holm
from repro.claims.statistics.power import smallest_detectable


@dataclass(frozen=True)
class _Judging:
    """What all verdicts of a form have in common.

    Attributes:
        study, form, results: what is judged.
        rows: of the results; of a sweep with the largest stable factor.
        named: what was stated before it ran; what the study states now where that was not kept.
        changed: arms that were set up otherwise then.
        any_commit: whether the runs of a pair may be of two commits.
    """

    study: Study
    form: str
    results: Results
    rows: tuple[Row, ...]
    named: Named
    changed: tuple[str, ...]
    any_commit: bool

    @property
    def family(self) -> int:
        """Secondary comparisons: who leaves one out afterwards does not make the others easier."""
        return max(len(self.named.pairs) - 1, len(self.study.secondary))


def judge(study: Study, form: str, results: Results, *, any_commit: bool = False) -> list[Verdict]:
    """A verdict a comparison and size of a form, the primary comparison first.

    Each is made once all planned pairs are there, of these alone. The primary comparison has its p as it is; those of
    the secondary ones are adjusted among all that were named by Holm, at each size apart. ``<`` and ``>`` are decided
    by a paired t test, of what has few values or no bound by signs and ranks; ``~`` by two one-sided t tests, and
    contradicted where the mean is beyond the margin. What must not be compared is not resolved, and says why.

    Args:
        study: whose comparisons.
        form: of it.
        results: of that form.
        any_commit: whether the runs of a pair may be of two commits, or of one that nobody can look at.
    """
    rows = with_stable_factors(results.rows, study.sweep) if study.sweep else results.rows
    now = naming.named(study)
    before = results.planned or now
    of = _Judging(study, form, results, rows, before, naming.changed_arms(before, now), any_commit)
    found = [verdict for rung in study.forms.get(form, {}) for verdict in _verdicts(of, rung)]
    return sorted(found, key=lambda verdict: study.comparisons.index(verdict.comparison))


def _verdicts(of: _Judging, rung: str) -> list[Verdict]:
    """Of one size. A comparison without a p was asked all the same, so it counts in the family of the others."""
    primary, *secondary = (_tested(of, rung, each) for each in of.study.comparisons)
    ps = [1.0 if each.p is None else each.p for each in secondary]
    adjusted = holm([*ps, *[1.0] * (of.family - len(ps))])
    return [
        _verdict(of, rung, primary, primary.p, None),
        *(
            _verdict(of, rung, each, None if each.p is None else p, of.family)
            for each, p in zip(secondary, adjusted, strict=False)
        ),
    ]


def _tested(of: _Judging, rung: str, comparison: Comparison) -> Tested:
    planned = of.named.pairs.get(naming.statement(comparison), naming.planned(of.study, comparison))
    runs = pairs(of.study, of.form, rung, comparison, of.rows, planned)
    return tested(runs, any_commit=of.any_commit, unnamed=naming.unnamed(of.named, of.study, comparison))


def _verdict(of: _Judging, rung: str, each: Tested, p: float | None, family: int | None) -> Verdict:
    """One comparison, with its p among the others of its family; the primary one has none."""
    estimate, comparison = each.estimate, each.pairs.comparison
    show = smallest_detectable(estimate.sd, estimate.n, level=LEVEL / (family or 1)) if estimate else None
    found = each.blocked or ("not resolved" if p is None else status(comparison, each.centre, p))
    told = (wording.why(each, found, p, show, family), wording.notes(each.pairs, of.results, of.changed))
    return Verdict(
        study=of.study.name,
        form=of.form,
        rung=rung,
        scale=of.study.size(of.form, rung),
        comparison=comparison,
        status=found,
        why="; ".join(filter(None, told)),
        leans=None if p is None else leans(comparison, each.centre),
        estimate=estimate,
        p_adjusted=p,
        smallest_detectable=show,
        differences=each.pairs.differences,
        rates=each.pairs.rates,
        edges=each.pairs.edges,
        diverged=each.pairs.diverged,
        mechanism_only=of.form == MECHANISM,
    )
