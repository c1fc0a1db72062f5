"""PolyReLU networks as Theorem 2 has them, drawn with a seed."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from repro.theory.networks import Affine, Network, total
from repro.theory.replacement import lipschitz

Activate = Callable[[int, Affine, tuple[float, ...]], Affine]


@dataclass(frozen=True)
class Unit:
    """``sum_i coefficients[i] max(weights . x + bias, 0)^i``."""

    weights: tuple[float, ...]
    bias: float
    coefficients: tuple[float, ...]

    @classmethod
    def drawn(cls, rng: random.Random, inputs: int, *, order: int) -> Self:
        """With ``||weights||_1 + |bias| = 1``, and ``||coefficients||_1 = 1``: it maps [-1, 1] into itself."""
        *weights, bias = _normalised(rng, inputs + 1)
        return cls(tuple(weights), bias, tuple(_normalised(rng, order + 1)))

    def sees(self, layer: Sequence[Affine]) -> Affine:
        """What goes into its activation."""
        return total(form * weight for weight, form in zip(self.weights, layer, strict=True)) + self.bias


@dataclass(frozen=True)
class Drawn:
    """Layers of units, of which the last is the output."""

    inputs: int
    layers: tuple[tuple[Unit, ...], ...]

    @classmethod
    def of(cls, seed: int, *, depth: int, width: int, inputs: int, order: int = 3) -> Self:
        """All of them drawn."""
        rng, seen = random.Random(seed), [inputs, *[width] * (depth - 1)]
        return cls(inputs, tuple(tuple(Unit.drawn(rng, n, order=order) for _ in range(width)) for n in seen))

    @property
    def alpha(self) -> float:
        """The largest slope of an activation on [-1, 1]."""
        return max(lipschitz(unit.coefficients) for layer in self.layers for unit in layer)

    def flattened(self, alpha: float) -> "Drawn":
        """With coefficients scaled down so that the largest slope is ``alpha``."""
        factor = alpha / self.alpha
        return Drawn(self.inputs, tuple(tuple(_scaled(unit, factor) for unit in layer) for layer in self.layers))

    def built(self, network: Network, activate: Activate) -> list[list[Affine]]:
        """Layer by layer, where ``activate`` makes the activation of a layer, from 0, of a form and coefficients."""
        seen, layers = [network.input(k) for k in range(self.inputs)], []
        for number, layer in enumerate(self.layers):
            seen = [activate(number, unit.sees(seen), unit.coefficients) for unit in layer]
            layers.append(seen)
        return layers


def tolerances(eps: float, *, depth: int, alpha: float) -> list[float]:
    """Of the layers, ``eps / (L alpha^(L - i))`` (Eq. 21)."""
    return [eps / (depth * alpha ** (depth - i)) for i in range(1, depth + 1)]


def _scaled(unit: Unit, factor: float) -> Unit:
    return Unit(unit.weights, unit.bias, tuple(factor * c for c in unit.coefficients))


def _normalised(rng: random.Random, n: int) -> list[float]:
    drawn = [rng.uniform(-1, 1) for _ in range(n)]
    size = sum(map(abs, drawn))
    return [x / size for x in drawn]
