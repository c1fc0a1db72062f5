"""Whether one measure of runs goes with another: inside groups such as activations, and from group to group."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from repro.claims.statistics.paired import LEVEL
from repro.claims.statistics.student import quantile, statistic, two_sided
from repro.claims.statistics.values import finite

Points = Sequence[tuple[float, float]]
Array = np.ndarray[Any, np.dtype[np.float64]]  # (point, x and y)


@dataclass(frozen=True)
class Slope:
    """How much y rises with one unit of x.

    Attributes:
        slope: by ordinary least squares.
        low, high: its 95 % interval by Student's t.
        p: of the hypothesis that it is 0, two-sided.
        n: points.
        degrees: of freedom: points less intercepts less one.
    """

    slope: float
    low: float
    high: float
    p: float
    n: int
    degrees: int


def within(groups: Mapping[str, Points]) -> Slope:
    """The slope of y on x that all groups share, each with an intercept of its own, of points (x, y), one a run.

    What differs between groups does not enter it: so of rank and loss it says whether they go together where the
    activation stays the same. That is association; only where x was set by hand is it an effect.

    Raises:
        ValueError: a number is not finite, x does not vary in any group, or no degree of freedom is left.
    """
    found = [_array(points) for points in groups.values() if points]
    return _slope([_centred(points) for points in found], intercepts=len(found))


def between(groups: Mapping[str, Points]) -> Slope:
    """The slope of y on x over the means of groups, each counting once: what goes with what from group to group.

    Raises:
        ValueError: as of :func:`within`; three groups are the fewest.
    """
    means = np.array([_array(points).mean(0) for points in groups.values() if points]).reshape(-1, 2)
    return _slope([_centred(means)] if len(means) else [], intercepts=1)


def _array(points: Points) -> Array:
    return np.array(finite((value for point in points for value in point), "points")).reshape(-1, 2)


def _centred(points: Array) -> Array:
    """Around their mean, from the first: so values that are all equal come out as 0 to the bit."""
    off: Array = points - points[0]
    off -= off.mean(0)
    return off


def _slope(centred: Sequence[Array], *, intercepts: int) -> Slope:
    x, y = np.concatenate([*centred, np.empty((0, 2))]).T
    degrees = len(x) - intercepts - 1
    if degrees < 1:
        raise ValueError(f"{len(x)} points around {intercepts} intercepts leave no degree of freedom for a slope")
    if not (spread := float(x @ x)):
        raise ValueError("x does not vary: there is no slope")
    slope = float(x @ y) / spread
    error = math.sqrt(float(np.sum((y - slope * x) ** 2)) / degrees / spread)
    half = quantile((1 + LEVEL) / 2, degrees) * error
    return Slope(slope, slope - half, slope + half, two_sided(statistic(slope, error), degrees), len(x), degrees)
