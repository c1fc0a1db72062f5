"""A PolyReLU neuron as ReLU neurons, within a tolerance: the constructions of Lemmas 2 and A.1."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from repro.theory.algebra import Sawtooth
from repro.theory.networks import Affine, Network, Number, total

Replace = Callable[[Network, Affine, Sequence[Number], float], Affine]
Monomial = Callable[[Network, Sequence[Affine], float], Affine]


def height(tolerance: float) -> int:
    """Of the lowest tower whose products of numbers in [-1, 1] err by at most ``tolerance``, ``4^-(height + 1)``."""
    return max(0, math.ceil(math.log(1 / tolerance, 4)) - 1)


def neuron(network: Network, z: Affine, coefficients: Sequence[Number], tolerance: float) -> Affine:
    """``sum_i c_i max(z, 0)^i`` within ``tolerance``, for ``z`` and values in [-1, 1], where the result stays too."""
    errors = sum(abs(float(c)) * (i - 1) for i, c in enumerate(coefficients) if i > 1)  # multiplications of a power
    power = u = network.relu(z)
    terms = [Affine({}, coefficients[0])]
    for i, c in enumerate(coefficients[1:], start=1):
        if i > 1:
            power = monomial(network, [power, u], tolerance / errors if errors else 1)
        terms.append(power * c)
    return clipped(network, total(terms), -1, 1)


def monomial(network: Network, factors: Sequence[Affine], tolerance: float) -> Affine:
    """The product of factors in [0, 1], within ``tolerance`` for each multiplication; it stays in [0, 1]."""
    algebra, product = Sawtooth(network, height(tolerance)), factors[0]
    for factor in factors[1:]:
        product = clipped(network, algebra.product(product, factor), 0, 1)
    return product


def clipped(network: Network, a: Affine, low: int, high: int) -> Affine:
    """``a`` where it is between ``low`` and ``high``, else the nearer of them; which takes no error further away."""
    return network.relu(a - low) - network.relu(a - high) + low


def lipschitz(coefficients: Sequence[float]) -> float:
    """The largest slope of the neuron on [-1, 1], alpha in Theorem 2."""
    derivative = np.polynomial.Polynomial(coefficients).deriv()
    turns = [complex(turn) for turn in derivative.deriv().roots()]
    inside = [turn.real for turn in turns if abs(turn.imag) < 1e-9 and 0 < turn.real < 1]
    return max(abs(float(derivative(u))) for u in [0.0, 1.0, *inside])
