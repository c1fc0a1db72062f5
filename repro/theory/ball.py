"""Functions of the unit ball that Theorem 3 is about, with all the derivatives that its construction asks for."""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

GRID = 20_001  # points at which a derivative's size is looked up


@dataclass(frozen=True)
class Member:
    """``g(x_1 + ... + x_d)`` on ``[-1, 1]^d``, where ``g(s) = sum_j a_j sin(w_j s + p_j)``.

    Its derivative by any multi-index is the derivative of ``g`` of that order, so that of all functions with such a
    ``g`` it is the worst for a Taylor polynomial: the terms of one order add up where the ``x_k`` have one sign.

    Attributes:
        smoothness: ``n``, of the ball of ``W^(n, inf)`` that it is to lie in (Definition 1, Eqs. 12 and 13).
        dimensions: ``d``.
        amplitudes: ``a``.
        frequencies: ``w``.
        phases: ``p``.
    """

    smoothness: int
    dimensions: int
    amplitudes: tuple[float, ...]
    frequencies: tuple[float, ...]
    phases: tuple[float, ...]

    @classmethod
    def sine(cls, smoothness: int, dimensions: int, *, frequency: float, phase: float) -> Self:
        """``sin(w s + p) / w^n``, on the sphere of the ball where ``w >= 1`` and a crest is met."""
        return cls(smoothness, dimensions, (frequency**-smoothness,), (frequency,), (phase,))

    @classmethod
    def drawn(cls, smoothness: int, *, waves: int, seed: int) -> Self:
        """Of one variable, as large as the ball allows; its n-th derivative has ``waves`` harmonics alike in size."""
        random = np.random.default_rng(seed)
        frequencies = np.pi * np.arange(1, waves + 1)
        amplitudes = random.normal(size=waves) / frequencies**smoothness
        phases = random.uniform(0, 2 * np.pi, waves)
        found = cls(smoothness, 1, tuple(amplitudes.tolist()), tuple(frequencies.tolist()), tuple(phases.tolist()))
        return replace(found, amplitudes=tuple((amplitudes / found.norm()).tolist()))

    def derivative(self, order: int, s: ArrayLike) -> Floats:
        """The derivative of ``g``, in the shape of ``s``."""
        a, w, p = map(np.array, (self.amplitudes, self.frequencies, self.phases))
        waves: Floats = np.sin(np.asarray(s, float)[..., None] * w + p + order * np.pi / 2)
        value: Floats = waves @ (a * w**order)
        return value

    def taylor(self, s: Fraction) -> list[float]:
        """Derivatives of order 0 to ``n - 1`` at a sum ``s``."""
        return [float(self.derivative(order, float(s))) for order in range(self.smoothness)]

    def __call__(self, points: Floats) -> Floats:
        """The function at ``(points, d)``."""
        return self.derivative(0, points.sum(-1))

    def norm(self) -> float:
        """An upper bound of ``max_(k <= n) sup |g^(k)|``, which is 1 at most in the unit ball."""
        return max(self._largest(order) for order in range(self.smoothness + 1))

    def _largest(self, order: int) -> float:
        """By the smaller of two bounds: all crests in one place, and the largest on a grid.

        Between two points at a distance ``h`` a crest is higher than both by ``h^2 / 8 sup |g^(order + 2)|`` at most.
        """
        grid = np.linspace(-self.dimensions, self.dimensions, GRID)
        h = grid[1] - grid[0]
        seen = float(np.abs(self.derivative(order, grid)).max() + h**2 / 8 * self._crests(order + 2))
        return min(self._crests(order), seen)

    def _crests(self, order: int) -> float:
        return sum(abs(a) * w**order for a, w in zip(self.amplitudes, self.frequencies, strict=True))
