"""Student's t, from ``scipy.special`` alone: importing ``scipy.stats`` takes most of a second."""

import math

from scipy.special import betainc, stdtrit


def quantile(probability: float, degrees: float) -> float:
    """That a t of ``degrees`` of freedom stays below with ``probability``."""
    return float(stdtrit(degrees, probability))


def two_sided(t: float, degrees: float) -> float:
    """The probability of a t that is as far from 0, on either side; exact far out too, where 1 - cdf is 0."""
    return float(betainc(degrees / 2, 0.5, degrees / (degrees + t * t)))


def above(t: float, degrees: float) -> float:
    """The probability of a t that is as large."""
    tail = two_sided(t, degrees) / 2
    return tail if t > 0 else 1 - tail


def statistic(value: float, error: float) -> float:
    """``value`` over its standard error; of no error at all it is infinite, and 0 over 0 is 0."""
    if error:
        return value / error
    return math.copysign(math.inf, value) if value else 0.0
