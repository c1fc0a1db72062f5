"""What a comparison of a study comes to over all of its forms that have results."""

from collections.abc import Sequence
from pathlib import Path

from repro.claims.evidence.ladder import over
from repro.claims.evidence.ran import Judged
from repro.claims.evidence.rows import Results
from repro.claims.evidence.study import Study, load
from repro.claims.evidence.verdicts import Verdict
from repro.claims.ledger.outcome import Decided
from repro.claims.ledger.places import named
from repro.errors import RecipeError, nearest

MECHANISM = "smoke, mechanism only"


class Studies:
    """All studies as far as they are asked for."""

    def __init__(self, judged: Judged) -> None:
        self._judged = judged
        self._found: dict[str, tuple[Study, list[tuple[Verdict, Results]]]] = {}

    def decided(self, name: str, comparison: str) -> Decided:
        """Over sizes, with the numbers of each.

        Raises:
            RecipeError: there is no such study, or it has no such comparison.
            RunError: results of it are damaged.
        """
        study, verdicts = self._verdicts(name)
        if comparison not in (texts := [each.text for each in study.comparisons]):
            hint = nearest(comparison, texts) or f" It has: {', '.join(texts)}."
            raise RecipeError(f"check.comparison: {name} has no comparison {comparison!r}.{hint}")
        own = [(verdict, results) for verdict, results in verdicts if verdict.comparison.text == comparison]
        return _decided([each for each in own if each[0].status != "not run"])

    def _verdicts(self, name: str) -> tuple[Study, list[tuple[Verdict, Results]]]:
        if name not in self._found:
            study = load(name)
            ran = filter(None, (self._judged.form(study, form) for form in study.forms))
            self._found[name] = study, [(verdict, form.results) for form in ran for verdict in form.verdicts]
        return self._found[name]


def _decided(ran: Sequence[tuple[Verdict, Results]]) -> Decided:
    if not ran:
        return Decided("not run", "", "", "")
    real = [pair for pair in ran if not pair[0].mechanism_only]
    if not real:
        measured = "; ".join(verdict.why for verdict, _ in ran)
        return Decided("not run", "", f"{MECHANISM}: {measured}", _sources(ran))
    ladder = over([verdict for verdict, _ in real])
    measured = "; ".join(f"{verdict.rung}: {verdict.why}" for verdict, _ in real)
    told = measured if ladder.why in measured else f"{ladder.why}; {measured}"
    return Decided(ladder.status, ladder.scale, told, _sources(real))


def _sources(ran: Sequence[tuple[Verdict, Results]]) -> str:
    """Files with the commits, devices and days of their runs, each once."""
    return "; ".join(dict.fromkeys(_source(results) for _, results in ran))


def _source(results: Results) -> str:
    parts = (sorted({getattr(row, column) for row in results.rows}) for column in ("repro", "device", "date"))
    commits, devices, days = parts
    between = [*days[:1], *days[-1:]] if len(days) > 1 else days
    return f"{named(Path(results.place))}: {', '.join(commits)}, {', '.join(devices)}, {' to '.join(between)}"
