"""What the singular values of a random matrix are, by the law of Marchenko and Pastur (1967).

It is that of large matrices of independent numbers of one variance, as initial weights are. Their effective rank in
parts of the smaller side depends on the shape: 0.948 for 2048 x 5504 and 0.967 for 2048 x 8256, so that a gated and a
plain FFN of as many parameters begin at different ranks, and only ranks divided by these can be compared.
"""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

POINTS = 2**14  # of the quadrature: 1e-8 of the effective rank of a square, where the law is least smooth


@cache
def effective_rank(rows: int, columns: int) -> float:
    """Of a random matrix (Eq. 36), however large its numbers are."""
    s, weight = _law(rows, columns)
    mean = float((weight * s).sum())
    return min(rows, columns) * mean * math.exp(-float((weight * s * np.log(s)).sum()) / mean)


def singular_values(rows: int, columns: int) -> Numbers:
    """Those to be expected, the largest first, ``(smaller side,)``, with a root mean square of 1."""
    s, weight = _law(rows, columns)
    n = min(rows, columns)
    found: Numbers = np.interp((np.arange(n) + 0.5) / n, np.cumsum(weight) - weight / 2, s)
    return found


def _law(rows: int, columns: int) -> tuple[Numbers, Numbers]:
    """Singular values, the largest first, and their shares of all; both by midpoints of an angle.

    With ``s^2 = 1 + c + 2 sqrt(c) cos(angle)`` the density ``sqrt((s_+^2 - s^2)(s^2 - s_-^2)) / (2 pi c s^2)`` loses
    the roots at its ends.
    """
    c = min(rows, columns) / max(rows, columns)
    angle = (np.arange(POINTS) + 0.5) * np.pi / POINTS
    squares = 1 + c + 2 * math.sqrt(c) * np.cos(angle)
    return np.sqrt(squares), 2 * np.sin(angle) ** 2 / (POINTS * squares)
