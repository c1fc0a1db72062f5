"""Layered networks with rational weights and any activation: what the paper's statements start from."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

from repro.theory.networks import Affine, Network, total
from repro.theory.piecewise import PiecewiseLinear

Row = tuple[Fraction, ...]  # the weights of a unit, its bias last
Layer = tuple[Row, ...]


@dataclass(frozen=True)
class Layers:
    """Layers of units that see the layer before, and an output layer without activations.

    Attributes:
        hidden: a layer for each step of depth.
        outputs: the last one.
    """

    hidden: tuple[Layer, ...]
    outputs: Layer

    @classmethod
    def drawn(cls, rng: random.Random, *, inputs: int, width: int, depth: int) -> Self:
        """Of weights and biases between -9/7 and 9/7, none of them 0."""
        wide = [inputs, *[width] * depth]
        layers = tuple(_layer(rng, inputs=seen, units=width) for seen in wide[:-1])
        return cls(layers, _layer(rng, inputs=width, units=1))

    @property
    def inputs(self) -> int:
        """The dimension of a point."""
        return len(self.hidden[0][0]) - 1

    @property
    def units(self) -> int:
        """Those with an activation."""
        return sum(map(len, self.hidden))

    @property
    def weights(self) -> int:
        """Weights and biases other than 0."""
        return sum(weight != 0 for layer in (*self.hidden, self.outputs) for row in layer for weight in row)

    def values(self, point: Sequence[Fraction], activation: Callable[[Fraction], Fraction]) -> list[Fraction]:
        """The outputs at a point, computed layer by layer, with no network built."""
        seen = list(point)
        for layer in self.hidden:
            seen = [activation(_at(row, seen)) for row in layer]
        return [_at(row, seen) for row in self.outputs]

    def built(self, network: Network, unit: Callable[[Affine], Affine]) -> list[Affine]:
        """The outputs as forms of a network, in which ``unit`` makes each activation."""
        seen = [network.input(k) for k in range(self.inputs)]
        for layer in self.hidden:
            seen = [unit(_form(row, seen)) for row in layer]
        return [_form(row, seen) for row in self.outputs]

    def reach(self, bound: Fraction) -> list[Fraction]:
        """How large what enters a layer's ReLU can be, by layer, for inputs of at most ``bound``."""
        reached = [bound]
        for layer in self.hidden:
            reached.append(max(sum(map(abs, row[:-1])) * reached[-1] + abs(row[-1]) for row in layer))
        return reached[1:]

    def of(self, rho: PiecewiseLinear, *, bound: Fraction) -> "Layers":
        """These layers, meant for ReLU, as ones for ``rho``: two units for each, equal where inputs are that small.

        Near its first breakpoint ``a``, ``rho(a + c z) - rho(a - h + c z)`` is a multiple of ``max(z, 0)`` and a
        constant (Yarotsky 2017, Proposition 1b), as long as ``|c z| <= h``, half the way to the next breakpoint.
        """
        first = rho.breaks[0]
        half = (rho.breaks[1] - first) / 2 if len(rho.breaks) > 1 else Fraction(1)
        shift = rho(first) - rho(first - half)
        hidden, rows = [], self.hidden[0]
        for after, reach in zip((*self.hidden[1:], self.outputs), self.reach(bound), strict=True):
            scale = half / reach
            hidden.append(tuple(_moved(row, scale, to) for row in rows for to in (first, first - half)))
            gain = 1 / (scale * (rho.slopes[1] - rho.slopes[0]))
            rows = tuple(_doubled(row, gain, shift) for row in after)
        return Layers(tuple(hidden), rows)


def rationals(rng: random.Random, n: int, *, largest: int = 400) -> list[Fraction]:
    """Points at which networks are compared, between ``-largest`` and ``largest``, with denominators of up to 99."""
    denominators = [rng.randint(1, 99) for _ in range(n)]
    return [Fraction(rng.randint(-largest * d, largest * d), d) for d in denominators]


def _layer(rng: random.Random, *, inputs: int, units: int) -> Layer:
    return tuple(
        tuple(Fraction(rng.choice((-1, 1)) * rng.randint(1, 9), 7) for _ in range(inputs + 1)) for _ in range(units)
    )


def _at(row: Row, seen: Sequence[Fraction]) -> Fraction:
    return sum((weight * value for weight, value in zip(row, seen, strict=False)), row[-1])


def _form(row: Row, seen: Sequence[Affine]) -> Affine:
    return total(form * weight for weight, form in zip(row, seen, strict=False)) + row[-1]


def _doubled(row: Row, gain: Fraction, shift: Fraction) -> Row:
    """A row over ReLUs as one over pairs of units, ``max(z, 0) = gain (first - second - shift)``."""
    pairs = [weight for each in row[:-1] for weight in (gain * each, -gain * each)]
    return (*pairs, row[-1] - gain * shift * sum(row[:-1]))


def _moved(row: Row, scale: Fraction, to: Fraction) -> Row:
    return (*(scale * weight for weight in row[:-1]), scale * row[-1] + to)
