"""Forms of studies that have results, each read and judged once, whoever asks."""

from dataclasses import dataclass

from repro.claims.evidence import store
from repro.claims.evidence.judging import judge
from repro.claims.evidence.rows import Results, Row
from repro.claims.evidence.study import MECHANISM, Study
from repro.claims.evidence.verdicts import Verdict


@dataclass(frozen=True)
class Ran:
    """One form of a study that has results."""

    study: Study
    form: str
    results: Results
    verdicts: tuple[Verdict, ...]

    @property
    def mechanism_only(self) -> bool:
        """Whether it is too small to say anything about the paper."""
        return self.form == MECHANISM

    @property
    def rungs(self) -> tuple[str, ...]:
        """Sizes that have run, from small to large as the study names them."""
        there = {row.rung for row in self.results.rows}
        named = [rung for rung in self.study.forms.get(self.form, {}) if rung in there]
        return (*named, *sorted(there - set(named)))

    def main(self, rung: str) -> list[Row]:
        """Runs of a size that are measured."""
        return [row for row in self.results.rows if (row.role, row.rung) == ("main", rung)]


class Judged:
    """What lies here of studies."""

    def __init__(self) -> None:
        self._ran: dict[tuple[str, str], Ran | None] = {}

    def form(self, study: Study, form: str) -> Ran | None:
        """One form of a study; None if it has no results.

        Raises:
            RunError: its results are damaged.
        """
        key = (study.name, form)
        if key not in self._ran:
            results = store.find(*key)
            self._ran[key] = Ran(study, form, results, tuple(judge(study, form, results))) if results else None
        return self._ran[key]
