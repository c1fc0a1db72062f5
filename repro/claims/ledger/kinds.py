"""What kind of evidence a claim rests on, or waits for: a table that adds up is no network that was trained."""

from repro.claims.ledger.arithmetic import configurations, drawn
from repro.claims.ledger.claims import Claim
from repro.claims.ledger.measured import COUNTED
from repro.claims.ledger.outcome import DRAWN, HERE, PRINTED

RUNS, TIMED = "measured runs", "timings"
FULL, OTHER = "full scale", "something else"  # of what no command decides
KINDS = (HERE, PRINTED, DRAWN, RUNS, TIMED, FULL, OTHER)


def kind(claim: Claim) -> str:
    """One of :data:`KINDS`: of a claim that is not run, the kind that would decide it."""
    check = claim.check
    if check.arithmetic:
        return of_arithmetic(check.arithmetic)
    if check.measured:
        return HERE if check.measured in COUNTED else TIMED
    if check.needs:
        return FULL if claim.scale == "full scale" else OTHER
    return RUNS if check.study else HERE


def of_arithmetic(name: str) -> str:
    """By what it computes with: recipes, the digitised curves, or printed numbers alone."""
    if name in configurations.CHECKS:
        return HERE
    return DRAWN if name in drawn.CHECKS else PRINTED
