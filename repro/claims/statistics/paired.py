"""Differences of pairs that share seed, data order and every weight whose shape agrees."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from repro.claims.statistics.student import quantile, statistic, two_sided
from repro.claims.statistics.values import finite

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """The mean of paired differences with its interval, in the unit of the differences.

    Attributes:
        mean: of the differences.
        low, high: the 95 % interval by Student's t.
        p: of the hypothesis that the true mean is 0, two-sided.
        sd: of the differences.
        n: how many there are, one a pair.
    """

    mean: float
    low: float
    high: float
    p: float
    sd: float
    n: int


def paired(differences: Sequence[float]) -> Estimate:
    """Student's t of differences (Student 1908), one a pair.

    Never a bootstrap: over three to five seeds its percentile interval misses the truth in 17 to 28 of a hundred.
    Differences that are all equal have no noise: their interval is a point, and p is 0, or 1 if they are 0.

    Raises:
        ValueError: there are fewer than two, or one is not finite.
    """
    found = finite(differences, "differences")
    n, centre, sd = len(found), mean(found), stdev(found)
    error = sd / math.sqrt(n)
    half = quantile((1 + LEVEL) / 2, n - 1) * error
    return Estimate(centre, centre - half, centre + half, two_sided(statistic(centre, error), n - 1), sd, n)
