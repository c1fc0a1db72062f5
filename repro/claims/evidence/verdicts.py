"""What one comparison of a study comes to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from repro.claims.evidence.study import Comparison
from repro.claims.statistics.paired import Estimate

LEVEL = 0.05
Status = Literal["supported", "contradicted", "not resolved", "not run"]


@dataclass(frozen=True)
class Verdict:
    """Of a comparison at one size of one form of a study.

    Attributes:
        study, form, rung: where; scale is the size that the rung counts as.
        comparison: what was stated before it ran.
        status: of the statement, at this size alone.
        why: in a line, what it rests on or what stands in the way.
        leans: whether what was found lies on the side that is stated, significant or not; None where it lies on
            neither, or where something stands in the way.
        estimate: of a - b over seeds; None where there are fewer than two pairs, an arm diverged, what is unlike must
            not be compared, or the measure is judged by signs and ranks. A learning rate at an edge, pairs that are
            still missing and a comparison that was not named leave it, and take the p.
        p_adjusted: by Holm over the secondary comparisons; the primary one's own p. Of ``~`` that of being within the
            margin where the mean is, else of being beyond it.
        smallest_detectable: the difference that these pairs would show in four of five cases, in the measure's unit;
            of secondary comparisons at the level that Holm asks of the first.
        differences: a - b by seed.
        rates: the learning rate of each arm.
        edges: arms whose best learning rate is at an edge of those tried.
        diverged: how many main runs of each arm, of a sweep at whatever rate.
        mechanism_only: whether the form is too small to say anything about the paper.
    """

    study: str
    form: str
    rung: str
    scale: str
    comparison: Comparison
    status: Status
    why: str
    leans: bool | None
    estimate: Estimate | None
    p_adjusted: float | None
    smallest_detectable: float | None
    differences: Mapping[int, float]
    rates: Mapping[str, float]
    edges: tuple[str, ...]
    diverged: Mapping[str, int]
    mechanism_only: bool

    @property
    def size(self) -> str:
        """The rung as a person is told of it, such as ``10m`` or ``half (10m)``."""
        return self.rung if self.rung == self.scale else f"{self.rung} ({self.scale})"


def leans(comparison: Comparison, centre: float) -> bool | None:
    """Whether a mean lies on the side that is stated; None of one that is 0, where a side is stated."""
    if comparison.margin is not None:
        return abs(centre) < comparison.margin
    return (centre < 0) == (comparison.says == "<") if centre else None


def status(comparison: Comparison, centre: float, p: float) -> Status:
    """What a mean comes to whose p, adjusted for all that it was tested among, is this."""
    side = leans(comparison, centre)
    if p >= LEVEL or side is None:
        return "not resolved"
    return "supported" if side else "contradicted"
