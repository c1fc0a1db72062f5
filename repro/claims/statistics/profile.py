"""Sums of squares around E + A N^-alpha for given alpha, where the law is a straight line whose E and A are known."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

EXPONENTS = (
    1e-3,
    10.0,
)  # at the lower end it is a straight line over ln N, at the upper one a step after the first size
POINTS = 1000


@dataclass(frozen=True)
class Lines:
    """The best E and A for each of some exponents.

    Attributes:
        exponents: alpha.
        squares: least sums of squares, each size's mean counting as often as it has seeds.
        floor, factor: E and A where that is.
        floor_unit, factor_unit: how far E and A move, at the most, for one more unit of squares.
    """

    exponents: Array
    squares: Array
    floor: Array
    factor: Array
    floor_unit: Array
    factor_unit: Array

    def reach(self, bound: float) -> tuple[tuple[float, float], tuple[float, float]]:
        """The lowest and highest E, and A, at which squares stay below ``bound``, over all these exponents."""
        slack = np.sqrt(np.maximum(0, bound - self.squares))
        floor, factor = slack * self.floor_unit, slack * self.factor_unit
        return _ends(self.floor, floor), _ends(self.factor, factor)


class Profile:
    """Of the mean losses of sizes.

    Attributes:
        flat: the sum of squares where size is of no consequence.
    """

    def __init__(self, sizes: Sequence[float], losses: Sequence[Sequence[float]]) -> None:
        seeds = np.array([len(of_size) for of_size in losses], float)
        means = np.array([mean(of_size) for of_size in losses])
        self._log_sizes = np.log(np.array(sizes, float))
        self._middle = float(self._log_sizes.mean())  # N is counted from here: its powers would overflow
        self._seeds, self._share = seeds, seeds / seeds.sum()
        off = means - means[0]  # so means that are all equal come out as 0 to the bit
        self._off = off - off @ self._share
        self._mean = float(means[0] + off @ self._share)
        self.flat = float(self._off**2 @ seeds)

    def lines(self, exponents: Array) -> Lines:
        """The best lines of ``exponents``."""
        x = np.exp(-np.multiply.outer(exponents, self._log_sizes - self._middle))
        mean_x = x @ self._share
        off_x = x - mean_x[:, None]
        spread = off_x**2 @ self._seeds
        slope = off_x @ (self._seeds * self._off) / spread
        squares = (self._off - slope[:, None] * off_x) ** 2 @ self._seeds
        scale = np.exp(exponents * self._middle)  # of A, for N counted from 1 again
        floor_unit = np.sqrt(1 / self._seeds.sum() + mean_x**2 / spread)
        return Lines(
            exponents, squares, self._mean - slope * mean_x, slope * scale, floor_unit, scale / np.sqrt(spread)
        )

    def best(self) -> Lines:
        """The one of the best exponent, by a grid that is narrowed to its best point's neighbours four times."""
        low, high = EXPONENTS
        for _ in range(4):
            lines = self.lines(np.geomspace(low, high, POINTS))
            at = int(np.argmin(lines.squares))
            low, high = (float(lines.exponents[min(max(i, 0), POINTS - 1)]) for i in (at - 1, at + 1))
        return self.lines(lines.exponents[at : at + 1])

    def region(self, inside: float, bound: float) -> Lines:
        """The exponents around ``inside`` at which squares stay below ``bound``, from one end to the other."""
        low, high = (self._edge(inside, end, bound) for end in EXPONENTS)
        return self.lines(np.geomspace(low, high, POINTS))

    def _edge(self, inside: float, outside: float, bound: float) -> float:
        """Where squares pass ``bound`` between two exponents, by bisection; ``outside`` if they do not."""
        if self._squares(outside) <= bound:
            return outside
        for _ in range(50):
            middle = math.sqrt(inside * outside)
            inside, outside = (middle, outside) if self._squares(middle) <= bound else (inside, middle)
        return inside

    def _squares(self, exponent: float) -> float:
        return float(self.lines(np.array([exponent])).squares[0])


def _ends(middle: Array, half: Array) -> tuple[float, float]:
    return float(np.min(middle - half)), float(np.max(middle + half))
