"""What a claim comes to, with the evidence."""

from dataclasses import dataclass

from repro.claims.evidence.verdicts import Status
from repro.claims.ledger.claims import Claim

# Scales of what takes no training.
HERE = "computed here"  # definitions, constructions, counts
PRINTED = "printed numbers"  # what is told from the paper's own numbers, and nothing else
DRAWN = "digitised curves"  # what is told from its figures, whose numbers are printed nowhere
SHIPPED = "data/measured/"


@dataclass(frozen=True)
class Decided:
    """By one check.

    Attributes:
        status: computed from what lies here.
        scale: at which that was measured, in words: :data:`HERE`, :data:`PRINTED`, :data:`DRAWN`, or sizes, such as
            ``4m, 10m``.
        measured: the numbers that decide it, with noise and unit, in a line; of what is not run what is there, such as
            a smoke's, or what stands in the way; nothing where nothing has been run.
        source: the file and its commit, device and date.
    """

    status: Status
    scale: str
    measured: str
    source: str


@dataclass(frozen=True)
class Outcome:
    """Of one claim.

    Attributes:
        claim: of the ledger.
        status, scale, measured, source: as in :class:`Decided`; of what is not run ``scale`` is what it would take.
    """

    claim: Claim
    status: Status
    scale: str
    measured: str
    source: str

    @property
    def where(self) -> str:
        """The scale as a person is told of it: what comes with the kit was not computed here, but by who wrote it."""
        shipped = self.scale == HERE and self.source.startswith(SHIPPED)
        return f"computed, {self.source.partition(':')[0]}" if shipped else self.scale
