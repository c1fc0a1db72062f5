"""That two arms are alike: a difference that was not found is no such evidence, one that is excluded is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from repro.claims.statistics.paired import paired
from repro.claims.statistics.student import above, quantile, statistic


@dataclass(frozen=True)
class Alike:
    """Whether the mean of paired differences lies within a margin around 0.

    Attributes:
        p: the larger one of the two tests; below 0.05 the arms are alike within the margin.
        low, high: the 90 % interval by Student's t, which lies within the margin exactly when p is below 0.05.
    """

    p: float
    low: float
    high: float


def alike(differences: Sequence[float], margin: float) -> Alike:
    """Two one-sided t tests (Schuirmann 1987) of differences, one a pair, with ``margin`` in their unit.

    Raises:
        ValueError: there are fewer than two differences, one is not finite, or the margin is not above 0.
    """
    _refuse(margin)
    found = paired(differences)
    error, degrees = found.sd / math.sqrt(found.n), found.n - 1
    nearest = margin - abs(found.mean)  # to the side where the test is harder
    half = quantile(0.95, degrees) * error
    return Alike(above(statistic(nearest, error), degrees), found.mean - half, found.mean + half)


def beyond(differences: Sequence[float], margin: float) -> float:
    """The p of the opposite, that the mean lies outside of the margin: twice the smaller of two one-sided tests' p.

    It is below 0.05 exactly where the 95 % interval lies wholly beyond the margin, on one side.

    Raises:
        ValueError: as :func:`alike`.
    """
    _refuse(margin)
    found = paired(differences)
    error, degrees = found.sd / math.sqrt(found.n), found.n - 1
    return min(1.0, 2 * above(statistic(abs(found.mean) - margin, error), degrees))


def _refuse(margin: float) -> None:
    if not 0 < margin < math.inf:
        raise ValueError(f"a margin has to be above 0 and finite, not {margin}")
