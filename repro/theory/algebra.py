"""Squares, products and powers made of neurons: exact of polynomial ones, within a tolerance of ReLU ones.

Both algebras make a product of squares, ``ab = ((a + b)^2 - (a - b)^2) / 4``, so that a product with 0 is 0 in either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from repro.errors import ReproError
from repro.theory.networks import Affine, Network, Number, total

_QUARTER = Fraction(1, 4)
_HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Polynomials:
    """Exact algebra of PolyReLU neurons of an order of at least 2.

    Raises:
        ReproError: the order is too low, a polynomial's degree is above it, or a power is not positive.
    """

    network: Network
    order: int = 3

    def __post_init__(self) -> None:
        if self.order < 2:
            raise ReproError(f"products need neurons of order 2 or more, not {self.order}")

    def polynomial(self, a: Affine, coefficients: Sequence[Number]) -> Affine:
        """``sum_i coefficients[i] a^i`` on the whole line, of two neurons (Lemma 1): one for either sign of ``a``."""
        if len(coefficients) > self.order + 1:
            raise ReproError(f"a polynomial of degree {len(coefficients) - 1} of neurons of order {self.order}")
        mirrored = [0, *((-1) ** i * c for i, c in enumerate(coefficients) if i)]
        return self.network.neuron(a, coefficients) + self.network.neuron(-a, mirrored)

    def square(self, a: Affine, bound: Number = 1) -> Affine:
        """``a^2``; exact whatever ``a`` is, so the bound is not needed."""
        return self.polynomial(a, (0, 0, 1))

    def product(self, a: Affine, b: Affine, bounds: tuple[Number, Number] = (1, 1)) -> Affine:
        """``a b``, of four neurons; exact whatever ``a`` and ``b`` are."""
        return (self.square(a + b) - self.square(a - b)) * _QUARTER

    def power(self, a: Affine, n: int) -> Affine:
        """``a^n`` from the digits of ``n`` in base ``order``, all on one chain of powers (Lemma A.4)."""
        if n < 1:
            raise ReproError(f"a power of at least 1 is needed, not {n}")
        factors, chain = [], a
        while n:
            n, digit = divmod(n, self.order)
            if digit:
                factors.append(self._small_power(chain, digit))
            if n:
                chain = self._small_power(chain, self.order)
        return self.product_of(factors)

    def _small_power(self, a: Affine, n: int) -> Affine:
        return a if n == 1 else self.polynomial(a, [0] * n + [1])

    def product_of(self, factors: Sequence[Affine]) -> Affine:
        """All of them, one after the other."""
        product = factors[0]
        for factor in factors[1:]:
            product = self.product(product, factor)
        return product


@dataclass(frozen=True)
class Sawtooth:
    """Algebra of ReLU neurons: squares by a tower of sawteeth (Yarotsky 2017, Proposition 2).

    A square of ``|a| <= bound`` lies above the true one, by at most ``bound^2 4^-(height + 1)``; a product errs by at
    most as much, ``bound^2`` being the product of its bounds.

    Raises:
        ReproError: the height is negative.
    """

    network: Network
    height: int

    def __post_init__(self) -> None:
        if self.height < 0:
            raise ReproError(f"a tower has a height of at least 0, not {self.height}")

    def square(self, a: Affine, bound: Number = 1) -> Affine:
        """``a^2`` as ``|a| - sum_k tooth_k(|a|) / 4^k``, ``|a|`` over ``bound``."""
        if bound != 1:
            a = a * (1 / Fraction(bound))
        tooth = self.network.relu(a) + self.network.relu(-a)
        terms = [tooth]
        for k in range(1, self.height + 1):
            # Of what lies in [0, 1]; the first neuron only passes it on, so that forms stay short.
            tooth = 2 * self.network.relu(tooth) - 4 * self.network.relu(tooth - _HALF)
            terms.append(tooth * -(_QUARTER**k))
        return total(terms) * Fraction(bound) ** 2

    def product(self, a: Affine, b: Affine, bounds: tuple[Number, Number] = (1, 1)) -> Affine:
        """``a b`` for ``|a| <= bounds[0]`` and ``|b| <= bounds[1]``."""
        of_a, of_b = (Fraction(bound) for bound in bounds)
        if bounds != (1, 1):
            a, b = a * (1 / of_a), b * (1 / of_b)
        return (self.square(a + b, 2) - self.square(a - b, 2)) * (of_a * of_b / 4)
