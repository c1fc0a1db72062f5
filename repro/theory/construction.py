"""Theorem 3's construction: Taylor polynomials at the points of a grid, mixed by a partition of unity (to Eq. 34)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import product
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from repro.theory.algebra import Polynomials
from repro.theory.networks import Affine, Network, Number, Size, total

Index = tuple[int, ...]  # a multi-index, or a point of the grid times its cells
Partition = Callable[[Network, Affine, int], dict[int, Affine]]

LARGEST = 3  # smoothness; beyond it Taylor polynomials need more than squares and products of two inputs


class Ridge(Protocol):
    """A function of the sum of its inputs, with derivatives."""

    @property
    def smoothness(self) -> int: ...  # noqa: D102

    @property
    def dimensions(self) -> int: ...  # noqa: D102

    def taylor(self, s: Fraction) -> Sequence[Number]:
        """Derivatives of order 0 to ``smoothness - 1`` at a sum ``s``."""


class Algebra(Protocol):
    """What squares and multiplies."""

    def square(self, a: Affine, bound: Number = 1) -> Affine: ...  # noqa: D102

    def product(self, a: Affine, b: Affine, bounds: tuple[Number, Number] = (1, 1)) -> Affine: ...  # noqa: D102


@dataclass(frozen=True)
class Kind:
    """A way to build it.

    Attributes:
        name: of its neurons.
        algebra: of a network.
        partition: of unity, along one input.
        reach: cells from a point of the grid to where its function of the partition ends.
    """

    name: str
    algebra: Callable[[Network], Algebra]
    partition: Partition
    reach: Fraction

    def remainder(self, smoothness: int, dimensions: int, cells: int) -> float:
        """``(d reach / N)^n / n!``: what Taylor polynomials leave of a function of the unit ball, at most.

        The partition is not negative and has the sum 1, so that the mixture leaves no more than the worst of them.
        """
        return float((dimensions * self.reach / cells) ** smoothness) / math.factorial(smoothness)


@dataclass(frozen=True)
class Built:
    """The network of one function.

    Attributes:
        network: it and what it is made of.
        output: its value.
        size: what that needs.
    """

    network: Network
    output: Affine
    size: Size

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values at ``(points, d)``."""
        return self.network.evaluate([self.output], points)[:, 0]


def trapezoids(network: Network, x: Affine, cells: int) -> dict[int, Affine]:
    """The paper's: ``phi_m(x) = psi(3 N (x - m / N))``, where ``psi`` is 1 in [-1, 1] and falls to 0 at -2 and 2.

    Of two ReLU neurons a point, since where one begins to fall its neighbour begins to rise.
    """
    reach = 3 * cells + 2
    kinks = {k: network.relu(x - Fraction(k, 3 * cells)) * (3 * cells) for k in range(-reach, reach + 1) if k % 3}
    return {
        m: total([kinks[3 * m - 2], -kinks[3 * m - 1], -kinks[3 * m + 1], kinks[3 * m + 2]])
        for m in range(-cells, cells + 1)
    }


def splines(network: Network, x: Affine, cells: int) -> dict[int, Affine]:
    """Ours: quadratic B-splines, of neurons that square, since kinks are out of their reach.

    Those of the points next beyond the ends of the grid are added to those at its ends.
    """
    knots = [network.neuron(x - Fraction(2 * k + 1, 2 * cells), (0, 0, 1)) for k in range(-cells - 3, cells + 3)]
    signs = [Fraction(sign * cells**2, 2) for sign in (1, -3, 3, -1)]
    found = [total(knot * sign for knot, sign in zip(knots[k:], signs, strict=False)) for k in range(2 * cells + 3)]
    first, *inner, last = found
    inner[0], inner[-1] = inner[0] + first, inner[-1] + last
    return dict(enumerate(inner, start=-cells))


POLYRELU = Kind("PolyReLU", Polynomials, trapezoids, Fraction(2, 3))
SQUARES = Kind("ReLU²", partial(Polynomials, order=2), splines, Fraction(3, 2))


def build(kind: Kind, function: Ridge, cells: int) -> Built:
    """The network of ``sum_m phi_m P_m`` over ``m`` in ``{-N ... N}^d``, where ``N`` is ``cells``."""
    n, d = function.smoothness, function.dimensions
    network = Network(d)
    algebra = kind.algebra(network)
    inputs = [network.input(k) for k in range(d)]
    partitions = [kind.partition(network, x, cells) for x in inputs]
    monomials = {a: _monomial(algebra, inputs, a) for a in indices(n, d)}
    height = 1 + kind.remainder(n, d, cells)  # of a Taylor polynomial where its function of the partition is not 0
    terms = []
    for m in product(range(-cells, cells + 1), repeat=d):
        phi = partitions[0][m[0]]
        for partition, at in zip(partitions[1:], m[1:], strict=True):
            phi = algebra.product(phi, partition[at])
        taylor = total(monomials[a] * c for a, c in coefficients(function, m, cells).items())
        terms.append(algebra.product(phi, taylor, (1, height)) if taylor.weights else phi * taylor.constant)
    output = total(terms)
    return Built(network, output, network.size([output]))


def indices(smoothness: int, dimensions: int) -> list[Index]:
    """Multi-indices of the Taylor polynomial: of order ``n - 1`` at most; there are ``C(n + d - 1, d)``."""
    return [a for a in product(range(smoothness), repeat=dimensions) if sum(a) < smoothness]


def coefficients(function: Ridge, m: Index, cells: int) -> dict[Index, Number]:
    """Of ``x^a``, of the Taylor polynomial at the point ``m / N`` of the grid."""
    at = [Fraction(k, cells) for k in m]
    derivatives = function.taylor(Fraction(sum(m), cells))
    found: dict[Index, Number] = dict.fromkeys(indices(function.smoothness, function.dimensions), 0)
    for b in found:
        of_b = derivatives[sum(b)] / math.prod(map(math.factorial, b))
        for a in product(*(range(k + 1) for k in b)):
            binomials = math.prod(math.comb(j, i) * (-p) ** (j - i) for i, j, p in zip(a, b, at, strict=True))
            found[a] += of_b * binomials
    return found


def _monomial(algebra: Algebra, inputs: Sequence[Affine], a: Index) -> Affine:
    """Of degree 2 at most."""
    factors = [x for x, power in zip(inputs, a, strict=True) for _ in range(power)]
    assert len(factors) < LARGEST, "a smoothness above 3"
    if not factors:
        return Affine({}, 1)
    if len(factors) == 1:
        return factors[0]
    return algebra.square(factors[0]) if factors[0] is factors[1] else algebra.product(factors[0], factors[1])
