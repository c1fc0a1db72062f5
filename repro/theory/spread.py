"""Several measurements of each point of a curve, as training gives with several seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Self

from repro.theory.findings import Curve
from repro.theory.fitting import slope


@dataclass(frozen=True)
class Spread(Curve):
    """Medians, with the smallest and the largest beside them.

    Attributes:
        low: the smallest of each point.
        high: the largest.
    """

    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @classmethod
    def of(cls, name: str, x: Sequence[float], samples: Sequence[Sequence[float]]) -> Self:
        """Of ``samples`` for each ``x``."""
        y = tuple(map(median, samples))
        return cls(name, tuple(x), y, slope(x, y), None, tuple(map(min, samples)), tuple(map(max, samples)))
