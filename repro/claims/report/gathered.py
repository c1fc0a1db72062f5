"""Everything that the page is about, read once: the ledger, the studies and what they measured."""

from dataclasses import dataclass

from repro.claims.evidence import study
from repro.claims.evidence.ladder import Ladder, over
from repro.claims.evidence.ran import Judged, Ran
from repro.claims.evidence.study import Study
from repro.claims.ledger import checks
from repro.claims.ledger.outcome import Outcome
from repro.errors import ReproError


@dataclass(frozen=True)
class Gathered:
    """What lies here.

    Attributes:
        studies: all, or the one that is asked for.
        ran: their forms that have results, in the order in which the studies name them.
        outcomes: of the ledger's claims that concern them.
        damaged: results that cannot be read, in words.
    """

    studies: tuple[Study, ...]
    ran: tuple[Ran, ...]
    outcomes: tuple[Outcome, ...]
    damaged: tuple[str, ...] = ()

    def of(self, name: str) -> tuple[Ran, ...]:
        """The forms of one study."""
        return tuple(ran for ran in self.ran if ran.study.name == name)

    def ladders(self, name: str) -> dict[str, Ladder]:
        """What each comparison of a study comes to over all forms, by its text, the primary one first."""
        found = next((each for each in self.studies if each.name == name), None)
        if found is None:
            return {}
        verdicts = [verdict for ran in self.of(name) for verdict in ran.verdicts]
        return {
            each.text: over([verdict for verdict in verdicts if verdict.comparison.text == each.text])
            for each in found.comparisons
        }


def everything() -> Gathered:
    """All studies and all claims."""
    judged = Judged()
    return _gathered(tuple(study.load(name) for name in study.names()), tuple(checks.outcomes(judged)), judged)


def alone(name: str) -> Gathered:
    """One study, and the claims that it decides."""
    judged = Judged()
    outcomes = [outcome for outcome in checks.outcomes(judged) if outcome.claim.check.study == name]
    return _gathered((study.load(name),), tuple(outcomes), judged)


def _gathered(studies: tuple[Study, ...], outcomes: tuple[Outcome, ...], judged: Judged) -> Gathered:
    found, damaged = list[Ran](), list[str]()
    for each in studies:
        for form in each.forms:
            try:
                ran = judged.form(each, form)
            except ReproError as error:
                damaged.append(str(error))
            else:
                found += [ran] if ran else []
    return Gathered(studies, tuple(found), outcomes, tuple(damaged))
