"""What decides each claim, looked at where it lies: findings, printed numbers, benchmarks' rows, studies' results."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from repro.claims.evidence.ran import Judged
from repro.claims.ledger import findings, studied
from repro.claims.ledger.arithmetic import CHECKS
from repro.claims.ledger.claims import PLACE, Check, Claim, ledger
from repro.claims.ledger.kinds import of_arithmetic
from repro.claims.ledger.measured import READINGS
from repro.claims.ledger.outcome import DRAWN, HERE, PRINTED, Decided, Outcome
from repro.errors import RecipeError, ReproError, nearest

V = TypeVar("V")
SOURCES = {
    HERE: "recipes/, beside data/published",
    PRINTED: "data/published, as the paper prints it",
    DRAWN: "data/published/curves.csv, digitised from the official drawings",
}


def outcomes(judged: Judged | None = None) -> list[Outcome]:
    """Of every claim, in the order of the ledger, by what lies here now; ``judged`` if studies were looked at before.

    Raises:
        RecipeError: the ledger is wrong, or names what there is not; one line that names the row.
    """
    decide = Deciding(judged or Judged())
    return [_outcome(claim, decide) for claim in ledger()]


class Deciding:
    """By kind of check; what several claims ask of is read once."""

    def __init__(self, judged: Judged) -> None:
        self.theory = findings.newest()
        self.studies = studied.Studies(judged)

    def __call__(self, check: Check) -> Decided:
        """What a check comes to.

        Raises:
            ReproError: it names what there is not, or what it asks of is damaged.
        """
        if check.finding:
            return self.theory.decided(check.finding, words=check.words)
        if check.arithmetic:
            return _printed(check.arithmetic)
        if check.measured:
            return _known(check.measured, READINGS, "reading")()
        if check.study and check.comparison:
            return self.studies.decided(check.study, (check.comparison, *check.also), rungs=check.rungs)
        return Decided("not run", "", f"needs {check.needs}", "")


def _outcome(claim: Claim, decide: Deciding) -> Outcome:
    try:
        by = decide(claim.check)
    except RecipeError as error:
        raise RecipeError(f"{PLACE}: {claim.id}: {error}") from None
    except ReproError as error:  # a damaged file decides nothing, and hides no other claim
        by = Decided("not run", "", str(error), "")
    return Outcome(claim, by.status, by.scale or claim.scale, by.measured, by.source)


def _printed(name: str) -> Decided:
    answer = _known(name, CHECKS, "arithmetic")()
    kind = of_arithmetic(name)
    return Decided(findings.STATUS[answer.holds], kind, answer.measured, SOURCES[kind])


def _known(name: str, there: Mapping[str, Callable[[], V]], what: str) -> Callable[[], V]:
    if name not in there:
        hint = nearest(name, there) or f" There are: {', '.join(there)}."
        raise RecipeError(f"check.{'measured' if what == 'reading' else what}: no {what} is called {name!r}.{hint}")
    return there[name]
