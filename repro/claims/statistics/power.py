"""What a number of pairs can show, before they are run."""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, ndtr

from repro.claims.statistics.student import quantile

Floats = NDArray[np.float64]


def smallest_detectable(sd: float, pairs: int, *, level: float = 0.05, power: float = 0.8) -> float:
    """The difference that a paired t test at ``level``, two-sided, finds with probability ``power``.

    In the unit of ``sd``, the standard deviation of the differences of pairs (not of one arm's losses), as it is known
    beforehand. From the noncentral t distribution: with few pairs the normal one promises far too much.

    Raises:
        ValueError: there are fewer than two pairs, ``sd`` is negative or not finite, or not 0 < level < power < 1.
    """
    if pairs < 2:
        raise ValueError(f"{pairs} pairs: a test takes 2 or more")
    if not 0 <= sd < math.inf:
        raise ValueError(f"a standard deviation is finite and not below 0, not {sd}")
    if not 0 < level < power < 1:
        raise ValueError(f"expected 0 < level < power < 1, not level {level} and power {power}")
    return sd * _errors(pairs - 1, level, power) / math.sqrt(pairs)


@cache
def _errors(degrees: int, level: float, power: float) -> float:
    """How many standard errors of the mean, by bisection."""
    bounds = _bounds(degrees, level)
    low, high = 0.0, 1.0
    while _found(high, bounds) < power:
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _found(middle, bounds) < power else (low, middle)
    return high


def _bounds(degrees: int, level: float) -> Floats:
    """How far a mean has to be from 0 to be found, in its true standard errors, at 4,000 equal shares of the error that
    is estimated, a chi: ``scipy.special.nctdtr`` gives nan for some of the left tail.
    """
    shares = (np.arange(4000) + 0.5) / 4000
    return np.asarray(quantile(1 - level / 2, degrees) * np.sqrt(chdtri(degrees, shares) / degrees))


def _found(errors: float, bounds: Floats) -> float:
    """With which probability a mean so many standard errors from 0 is found."""
    return float(np.mean(ndtr(errors - bounds) + ndtr(-errors - bounds)))
