"""One comparison at one size, before others are considered: what stands in its way, or the p of a test."""

from dataclasses import dataclass

from repro.claims.evidence import blocks
from repro.claims.evidence.pairing import OF_STABILITY, Pairs
from repro.claims.evidence.verdicts import Status
from repro.claims.statistics.equivalence import alike, beyond
from repro.claims.statistics.paired import Estimate, paired
from repro.claims.statistics.signs import Signs, signs


@dataclass(frozen=True)
class Tested:
    """What was found of a comparison.

    Attributes:
        pairs: the runs.
        why: what stands in the way; nothing where a test decides.
        ran: whether both arms have runs.
        found: by means and their interval, or by signs and ranks; None where there is nothing to compare.
    """

    pairs: Pairs
    why: str = ""
    ran: bool = True
    found: Estimate | Signs | None = None

    @property
    def estimate(self) -> Estimate | None:
        """With an interval, where there is one."""
        return self.found if isinstance(self.found, Estimate) else None

    @property
    def blocked(self) -> Status | None:
        """What it is called, whatever a test says; None where one decides."""
        if not self.ran:
            return "not run"
        return "not resolved" if self.why or self.found is None else None

    @property
    def centre(self) -> float:
        """The mean, or the balance of ranks: which side it is on, and of a mean how far."""
        assert self.found is not None
        return self.found.mean if isinstance(self.found, Estimate) else self.found.balance

    @property
    def p(self) -> float | None:
        """Of likeness that of being within the margin if the mean is, else that of being beyond it; None if blocked."""
        if self.blocked or self.found is None:
            return None
        margin = self.pairs.comparison.margin
        if margin is None:
            return self.found.p
        differences = tuple(self.pairs.differences.values())
        return alike(differences, margin).p if abs(self.centre) < margin else beyond(differences, margin)


def tested(of: Pairs, *, any_commit: bool, unnamed: str) -> Tested:
    """What a comparison's own runs say.

    Args:
        of: the runs.
        any_commit: whether they may be of two commits, or of one that nobody can look at.
        unnamed: why the comparison is not one that was named before; nothing if it is.
    """
    if why := blocks.not_run(of):
        return Tested(of, why, ran=False)
    interim = blocks.interim(of)
    if why := blocks.unlike(of, any_commit=any_commit) or blocks.gaps(of):
        return Tested(of, _joined(interim, why))
    exact = of.comparison.measure in OF_STABILITY
    found = signs(of.ratios) if exact else paired(tuple(of.differences.values()))
    return Tested(of, _joined(interim, unnamed, blocks.edges(of)), found=found)


def _joined(*reasons: str) -> str:
    return "; ".join(filter(None, reasons))
