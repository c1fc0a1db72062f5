"""How small a ReLU network can be: linear pieces counted, Lemma A.2, and the towers that were built beside the bound.

A ReLU network of U units has at most 2^U linear pieces along one input. A function whose second derivative is mu or
more is off by ``mu h^2 / 16`` from any line over an interval of length h, and of P pieces over [0, 1] one is as long as
1/P. So ``U >= log2(mu / (16 eps)) / 2``; of x^2, where mu = 2, that is at least ``1 / sqrt(8 eps)`` pieces.
"""

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

import numpy as np
from numpy.typing import NDArray

from repro.theory.algebra import Sawtooth
from repro.theory.findings import Finding
from repro.theory.fitting import curve, per_unit
from repro.theory.layers import Layers
from repro.theory.networks import Affine, Network, total
from repro.theory.pieces import pieces

SEED = 11
Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]
Square = Callable[[Network, int], Affine]
Count = Callable[[Network, Affine, Fraction, Fraction], int]
_CONVEX: dict[str, tuple[Function, float]] = {  # with mu on [0, 1]
    "x^2": (np.square, 2.0),
    "exp(x)": (np.exp, 1.0),
    "PolyReLU with a_i = 1/3": (lambda x: (x + x**2 + x**3) / 3, 2 / 3),
}
_HEIGHTS = range(2, 15, 2)
_COUNTED = 8  # the highest tower whose pieces are counted
_DEPTH, _WIDTH = 4, 16
_DIVISIONS = 50
_EPS = 1e-6  # for which Lemma A.2 is read without "within eps"
MOST = 3  # times as many units as the bound, for each further e-fold: that both are of one order


def findings() -> list[Finding]:
    """Those of this module, in the paper's order."""
    return [theorem_2_lower(), lemma_a2()]


def least_units(eps: float, mu: float = 2.0) -> float:
    """Of a ReLU network within ``eps`` of a function whose second derivative is ``mu`` or more on [0, 1]."""
    return max(0.0, math.log2(mu / (16 * eps)) / 2)


def lemma_a2(count: Count = pieces) -> Finding:
    """Both halves of the argument: pieces of ReLU networks, and how near lines come to convex functions."""
    rng, upto = random.Random(SEED), (1, 2, 3)
    drawn = [_pieces_of_drawn(count, rng, *shape) for shape in itertools.product(upto, upto) for _ in range(3)]
    largest = max(units for units, _ in drawn)
    most = max(p for units, p in drawn if units == largest)
    above = sum(p > 2**units for units, p in drawn)
    nearest = {name: _nearest(function, mu) for name, (function, mu) in _CONVEX.items()}
    chord, without = _error_of_lines(np.square, np.array([0.0, 1.0])), Network(1)
    units = without.size([without.input(0)]).neurons  # of a line, which is a ReLU network too
    return Finding(
        id="lemma-a2",
        place="Lemma A.2",
        claim="A ReLU network within eps of a strongly convex function on [0, 1] has at least Omega(ln(1/eps)) units.",
        holds=above == 0 and all(ratio >= 1 - 1e-9 for ratio in nearest.values()),
        as_stated=units >= least_units(_EPS),
        key=f"{above} of {len(drawn)} networks have more than 2^U pieces",
        measured=(
            f"{above} of {len(drawn)} drawn networks of U = 1 to {largest} units have more than 2^U pieces; of "
            f"{largest} units they have up to {most}. Over {_DIVISIONS} divisions of [0, 1] into P = 2 to 64 pieces "
            "lines came within "
            + ", ".join(f"{ratio:.3g} mu / (16 P^2) of {name}" for name, ratio in nearest.items())
            + "; the bound needs 1."
        ),
        differs=(
            f"Restated without 'within eps', which it needs: a network of no units at all is {chord:.3g} off from x^2, "
            f"and within eps = {_EPS:g} it takes {least_units(_EPS):.3g}."
        ),
        numbers={f"pieces_of_{largest}_units": most, **{f"nearest {name}": ratio for name, ratio in nearest.items()}},
    )


def sawtooth(network: Network, height: int) -> Affine:
    """The square of the input by a tower."""
    return Sawtooth(network, height).square(network.input(0))


def theorem_2_lower(square: Square = sawtooth) -> Finding:
    """x^2, the simplest PolyReLU neuron: the towers that were built beside the bound."""
    towers = [Tower.of(square, height) for height in _HEIGHTS]
    counted = [tower for tower in towers if tower.height <= _COUNTED]
    ln, units = [math.log(1 / tower.error) for tower in towers], [tower.units for tower in towers]
    bound = [least_units(tower.error) for tower in towers]
    factor, last = per_unit(ln, units) / per_unit(ln, bound), towers[-1]
    asked, off = _DEPTH * _WIDTH * bound[-1], _off_from_copies(square, last.height)
    return Finding(
        id="theorem-2-lower",
        place="Theorem 2, lower bound",
        claim="There are PolyReLU networks that ReLU networks come within eps of only with Omega(ln(1/eps)) units.",
        holds=all(map(_agrees, counted)) and factor <= MOST and all(u >= b for u, b in zip(units, bound, strict=True)),
        as_stated=last.units >= asked,
        title="ReLU units of x^2 beside the bound",
        key=f"{last.units} units where the bound is {bound[-1]:.3g}, and K L times it {asked:.0f}",
        measured=(
            f"x^2 within {last.error:.2g} takes at least {bound[-1]:.3g} ReLU units, and the tower that was built has "
            f"{last.units}; both grow with ln(1/eps), the tower's {factor:.3g} times as fast. A tower of "
            f"{counted[-1].units} units has {counted[-1].pieces} pieces, counted, where its error needs "
            f"{math.ceil(counted[-1].least_pieces)}."
        ),
        differs=(
            "Stated is Omega(K L ln(1/eps)), of any PolyReLU network; proven is Omega(ln(1/eps)), of one neuron. A "
            "ReLU network is a PolyReLU network too, and needs no logarithm. Equal neurons are approximated once: of "
            f"a network of depth L = {_DEPTH} and width K = {_WIDTH} whose first layer is {_WIDTH} times x^2, the same "
            f"{last.units} units are {off:.2g} off, where K L times the bound would be {asked:.0f} units."
        ),
        numbers={"bound": bound[-1], "units": last.units, "error": last.error, "bound_times_k_l": asked},
        curves=(curve("tower that was built", ln, units, paper=1.0), curve("lower bound", ln, bound)),
        x_label="ln(1/error)",
        y_label="ReLU units",
    )


@dataclass(frozen=True)
class Tower:
    """A ReLU network in the place of x^2 on [0, 1].

    Attributes:
        height: of the tower.
        units: neurons.
        pieces: linear ones; 0 where there are too many to count.
        error: the largest that was seen.
    """

    height: int
    units: int
    pieces: int
    error: float

    @classmethod
    def of(cls, square: Square, height: int) -> Self:
        """Built and measured; midpoints of its pieces are among the points."""
        network = Network(1)
        built = square(network, height)
        x = np.linspace(0, 1, 2 ** (height + 1) + 1)[:, None]
        error = float(np.abs(network.evaluate([built], x)[:, 0] - x[:, 0] ** 2).max())
        count = pieces(network, built, Fraction(0), Fraction(1)) if height <= _COUNTED else 0
        return cls(height, network.size([built]).neurons, count, error)

    @property
    def least_pieces(self) -> float:
        """That a function this near to x^2 has."""
        return 1 / math.sqrt(8 * self.error)


def _agrees(tower: Tower) -> bool:
    return bool(tower.least_pieces <= tower.pieces <= 2**tower.units)


def _off_from_copies(square: Square, height: int) -> float:
    """How far a tower is from a PolyReLU network whose first layer squares the input many times over."""
    network = Network(1)
    layer = [network.neuron(network.input(0), (0, 0, 1)) for _ in range(_WIDTH)]
    for _ in range(_DEPTH - 1):
        layer = [network.neuron(total(layer) * (1 / _WIDTH), (0, 1)) for _ in range(_WIDTH)]
    outputs = [total(layer) * (1 / _WIDTH), square(network, height)]
    values = network.evaluate(outputs, np.random.default_rng(SEED).uniform(0, 1, (20_000, 1)))
    return float(np.abs(values[:, 0] - values[:, 1]).max())


def _pieces_of_drawn(count: Count, rng: random.Random, width: int, depth: int) -> tuple[int, int]:
    """Units and pieces of a ReLU network."""
    drawn, network = Layers.drawn(rng, inputs=1, width=width, depth=depth), Network(1)
    (built,) = drawn.built(network, network.relu)
    return drawn.units, count(network, built, Fraction(-100), Fraction(100))


def _nearest(function: Function, mu: float) -> float:
    """How near lines came over divisions of [0, 1] into P pieces, over ``mu / (16 P^2)``."""
    rng = np.random.default_rng(SEED)
    counts = rng.integers(2, 65, _DIVISIONS // 2)
    equal = [np.linspace(0, 1, n + 1) for n in counts]
    drawn = [np.sort([0, 1, *rng.uniform(size=n - 1)]) for n in counts]
    return min(_error_of_lines(function, ends) * 16 * (len(ends) - 1) ** 2 / mu for ends in (*equal, *drawn))


def _error_of_lines(function: Function, ends: NDArray[np.float64]) -> float:
    """The error of the best line over each interval, of a convex function: half of how far it lies below its chord."""
    begin, end, share = ends[:-1, None], ends[1:, None], np.linspace(0, 1, 129)
    below = (1 - share) * function(begin) + share * function(end) - function(begin + share * (end - begin))
    return float(below.max() / 2)
