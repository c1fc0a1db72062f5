"""Continuous piecewise-linear functions of one variable, in rationals."""

from dataclasses import dataclass
from fractions import Fraction

from repro.errors import ReproError
from repro.theory.networks import Affine, Network, total


@dataclass(frozen=True)
class PiecewiseLinear:
    """A continuous function on the whole line that is linear between its breakpoints.

    Attributes:
        breaks: breakpoints, ascending.
        slopes: left of the first, between them, right of the last.
        start: the value at the first.

    Raises:
        ReproError: breakpoints do not ascend, or there is not one more slope than breakpoints.
    """

    breaks: tuple[Fraction, ...]
    slopes: tuple[Fraction, ...]
    start: Fraction

    def __post_init__(self) -> None:
        if not self.breaks or any(b <= a for a, b in zip(self.breaks, self.breaks[1:], strict=False)):
            raise ReproError("a piecewise-linear function has at least one breakpoint, and they ascend")
        if len(self.slopes) != len(self.breaks) + 1:
            raise ReproError(
                f"{len(self.breaks)} breakpoints have {len(self.breaks) + 1} slopes, not {len(self.slopes)}"
            )

    def __call__(self, x: Fraction) -> Fraction:
        """The value at ``x``, from the first breakpoint on, piece by piece."""
        if x <= self.breaks[0]:
            return self.start + self.slopes[0] * (x - self.breaks[0])
        value = self.start
        ends = [*self.breaks[1:], x]
        for begin, end, slope in zip(self.breaks, ends, self.slopes[1:], strict=True):
            value += slope * (min(end, x) - begin) if x > begin else 0
        return value

    def built(self, network: Network, z: Affine) -> Affine:
        """Of ``z``, by a ReLU neuron for each breakpoint and one for the left ray; equal on the whole line."""
        first = self.breaks[0]
        left = network.relu(first - z) * -self.slopes[0]
        changes = [self.slopes[1], *(b - a for a, b in zip(self.slopes[1:], self.slopes[2:], strict=False))]
        kinks = [network.relu(z - at) * change for at, change in zip(self.breaks, changes, strict=True)]
        return total([left, *kinks]) + self.start


def _rational(*numbers: int) -> tuple[Fraction, ...]:
    return tuple(map(Fraction, numbers))


RELU = PiecewiseLinear(_rational(0), _rational(0, 1), Fraction(0))
LEAKY_RELU = PiecewiseLinear(_rational(0), (Fraction(1, 100), Fraction(1)), Fraction(0))
RELU6 = PiecewiseLinear(_rational(0, 6), _rational(0, 1, 0), Fraction(0))
