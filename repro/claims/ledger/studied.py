"""What comparisons of a study come to over all of its forms that have results."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from repro.claims.evidence.ladder import over
from repro.claims.evidence.ran import Judged
from repro.claims.evidence.rows import Results
from repro.claims.evidence.study import Study, load
from repro.claims.evidence.verdicts import Status, Verdict
from repro.claims.ledger.outcome import Decided
from repro.claims.ledger.places import named
from repro.errors import RecipeError, nearest

MECHANISM = "smoke, mechanism only"
WEAKEST: tuple[Status, ...] = ("contradicted", "not run", "not resolved", "supported")  # of several: what all come to


class Studies:
    """All studies as far as they are asked for."""

    def __init__(self, judged: Judged) -> None:
        self._judged = judged
        self._found: dict[str, tuple[Study, list[tuple[Verdict, Results]]]] = {}

    def decided(self, name: str, comparisons: Sequence[str], *, rungs: Collection[str] = ()) -> Decided:
        """Over sizes, with the numbers of each; of several comparisons whether all hold.

        Raises:
            RecipeError: there is no such study, or it has no such comparison or rung.
            RunError: results of it are damaged.
        """
        study, verdicts = self._verdicts(name)
        _known("comparison", comparisons, [each.text for each in study.comparisons], name)
        _known("rung", rungs, list(dict.fromkeys(rung for form in study.forms.values() for rung in form)), name)
        counted = [pair for pair in verdicts if pair[0].status != "not run" and (not rungs or pair[0].rung in rungs)]
        return _all({text: _decided([pair for pair in counted if _is(pair[0], text)]) for text in comparisons})

    def _verdicts(self, name: str) -> tuple[Study, list[tuple[Verdict, Results]]]:
        if name not in self._found:
            study = load(name)
            ran = filter(None, (self._judged.form(study, form) for form in study.forms))
            self._found[name] = study, [(verdict, form.results) for form in ran for verdict in form.verdicts]
        return self._found[name]


def _known(what: str, asked: Collection[str], there: Sequence[str], name: str) -> None:
    if wrong := [each for each in asked if each not in there]:
        hint = nearest(wrong[0], there) or f" It has: {', '.join(there)}."
        raise RecipeError(f"check.{what}: {name} has no {what} {wrong[0]!r}.{hint}")


def _is(verdict: Verdict, text: str) -> bool:
    return verdict.comparison.text == text


def _all(found: dict[str, Decided]) -> Decided:
    """Of several comparisons the weakest status, with what each comes to."""
    if len(found) == 1:
        return next(iter(found.values()))
    weakest = min(found.values(), key=lambda each: WEAKEST.index(each.status))
    told = "; ".join(f"{text}, {each.status}: {each.measured}" for text, each in found.items() if each.measured)
    return Decided(weakest.status, weakest.scale, told, _once(each.source for each in found.values()))


def _decided(ran: Sequence[tuple[Verdict, Results]]) -> Decided:
    if not ran:
        return Decided("not run", "", "", "")
    real = [pair for pair in ran if not pair[0].mechanism_only]
    if not real:
        measured = "; ".join(verdict.why for verdict, _ in ran)
        return Decided("not run", "", f"{MECHANISM}: {measured}", _sources(ran))
    ladder = over([verdict for verdict, _ in real])
    measured = "; ".join(f"{verdict.size}: {verdict.why}" for verdict, _ in real)
    told = measured if ladder.why in measured else f"{ladder.why}; {measured}"
    return Decided(ladder.status, ladder.scale, told, _sources(real))


def _sources(ran: Sequence[tuple[Verdict, Results]]) -> str:
    """Files with the commits, devices and days of their runs."""
    return _once(_source(results) for _, results in ran)


def _source(results: Results) -> str:
    parts = (sorted({getattr(row, column) for row in results.rows}) for column in ("repro", "device", "date"))
    commits, devices, days = parts
    between = [*days[:1], *days[-1:]] if len(days) > 1 else days
    left = f" ({results.passed_over})" if results.passed_over else ""
    return f"{named(Path(results.place))}: {', '.join(commits)}, {', '.join(devices)}, {' to '.join(between)}{left}"


def _once(sources: Iterable[str]) -> str:
    """Each once."""
    return "; ".join(dict.fromkeys(filter(None, sources)))
