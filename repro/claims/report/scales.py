"""Where values lie on an axis, and which of them are named."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

MOST = 6  # ticks that an axis has room for


@dataclass(frozen=True)
class Scale:
    """An axis between two places of a drawing.

    Attributes:
        low, high: the values at its ends; above zero where it is logarithmic.
        start, end: the places.
        logarithmic: whether equal ratios are equally far.
        ticks: the values that are named.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool
    ticks: tuple[float, ...]

    def __call__(self, value: float) -> float:
        """The place of a value."""
        low, high, at = (math.log(v) if self.logarithmic else v for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (at - low) / (high - low)


def linear(values: Sequence[float], start: float, end: float) -> Scale:
    """Over all values, with a little room at both ends."""
    low, high = _apart(min(values), max(values))
    room = 0.05 * (high - low)
    low, high = low - room, high + room
    step = _step((high - low) / MOST)
    first = math.ceil(low / step)
    return Scale(low, high, start, end, False, tuple(k * step for k in range(first, math.floor(high / step) + 1)))


def logarithmic(values: Sequence[float], start: float, end: float, *, ticks: Sequence[float] = ()) -> Scale:
    """Over all values, which are above zero; named are ``ticks``, or powers of ten and their two- and fivefold."""
    room = (max(values) / min(values)) ** 0.06 if max(values) > min(values) else 2.0
    low, high = min(values) / room, max(values) * room
    return Scale(low, high, start, end, True, tuple(ticks) or _decades(low, high))


def named(value: float) -> str:
    """A tick's value, short: ``0.005``, ``20 M``."""
    for size, unit in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}" if abs(value) > 1e-12 else "0"


def _apart(low: float, high: float) -> tuple[float, float]:
    if high > low:
        return low, high
    around = abs(low) * 0.05 or 1.0
    return low - around, high + around


def _step(least: float) -> float:
    size = 10.0 ** math.floor(math.log10(least))
    return next(size * times for times in (1, 2, 5, 10) if size * times >= least * (1 - 1e-9))


def _decades(low: float, high: float) -> tuple[float, ...]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for times in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
        found = tuple(t * 10.0**p for p in powers for t in times if low <= t * 10.0**p <= high)
        if len(found) > 2:
            break
    return found[:: -(-len(found) // MOST)]
