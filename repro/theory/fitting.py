"""Rates: slopes on logarithms."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from repro.theory.findings import Curve


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Of ``ln y`` over ``ln x``, by least squares: the exponent of a power."""
    return per_unit(np.log(np.asarray(x, float)).tolist(), np.log(np.asarray(y, float)).tolist())


def per_unit(x: Sequence[float], y: Sequence[float]) -> float:
    """How much ``y`` grows with one unit of ``x``, by least squares."""
    return float(np.polyfit(x, y, 1)[0])


def curve(
    name: str, x: Sequence[float], y: Sequence[float], *, paper: float | None = None, ours: float | None = None
) -> Curve:
    """Measured points with their fitted slope, and those that the paper and a construction here give."""
    return Curve(name, tuple(map(float, x)), tuple(map(float, y)), slope(x, y), paper, ours)


def spread(name: str, x: Sequence[float], samples: Sequence[Sequence[float]]) -> Curve:
    """Medians of ``samples`` for each ``x``, with the smallest and the largest beside them."""
    fitted = curve(name, x, [median(each) for each in samples])
    return replace(fitted, low=tuple(map(min, samples)), high=tuple(map(max, samples)))
