"""Rates: slopes on logarithms."""

from collections.abc import Sequence

import numpy as np

from repro.theory.findings import Curve


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Of ``ln y`` over ``ln x``, by least squares: the exponent of a power."""
    return per_unit(np.log(np.asarray(x, float)).tolist(), np.log(np.asarray(y, float)).tolist())


def per_unit(x: Sequence[float], y: Sequence[float]) -> float:
    """How much ``y`` grows with one unit of ``x``, by least squares."""
    return float(np.polyfit(x, y, 1)[0])


def curve(name: str, x: Sequence[float], y: Sequence[float], *, expected: float | None = None) -> Curve:
    """Measured points with their fitted slope, and the one that theory gives."""
    return Curve(name, tuple(map(float, x)), tuple(map(float, y)), slope(x, y), expected)
