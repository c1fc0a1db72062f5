"""How many numbers leave the range of a number format as an activation takes their powers, or fall to zero.

Counted from the inputs' sizes against thresholds that are exact: a power counts if, computed without error and rounded
once to nearest, it would be infinite or zero. In e4m3, which has no infinity, it would be above 448: programs make that
448 or nan, torch has done both. The kernels compute in float32; the other formats say what would be lost by computing
in them, or by storing the inputs so.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from repro.activations import (
    PolyNorm,
    PolyNormGLU,
    PolyReLU,
    PolyReLUGLU,
    PolyReLUNorm,
    SquaredLeakyReLU,
    SquaredReLU,
    reference,
)
from repro.activations.coefficients import Polynomial
from repro.activations.polycom import PolyCom
from repro.models.moe import PerExpert

FORMATS = {
    "e4m3": torch.float8_e4m3fn,  # in which inputs may be stored, and nobody computes powers
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
}


@dataclass(frozen=True)
class Lost:
    """Of one power of the inputs in one format.

    Attributes:
        what: ``input``; ``term``, a power that the polynomial adds up; or ``norm``, its square, inside its norm.
        power: of the input, which for ReLU's is the positive part.
        format: a word of :data:`FORMATS`.
        numbers: inputs that are not zero; where it is ReLU's powers that are taken, those above zero.
        overflow: how many of them have a power too large for the format.
        underflow: how many have one that it has only zero for.
    """

    what: str
    power: int
    format: str
    numbers: int
    overflow: int
    underflow: int


class Counter:
    """Counts what one activation loses, over its calls."""

    def __init__(self, activation: nn.Module) -> None:
        self.inner, order, normalises = _powers(activation)
        terms, squares = range(2, order + 1), range(2, 2 * order + 1, 2) if normalises else ()
        self.inputs = _Tally([1], FORMATS)
        self.powers = _Tally(sorted({*terms, *squares}), [name for name in FORMATS if name != "e4m3"])
        self.parts = [("term", power) for power in terms] + [("norm", power) for power in squares]

    def add(self, x: Tensor) -> None:
        """Count what an activation was given, of any shape."""
        self.inputs.add(x)
        if self.parts:
            with torch.no_grad():
                self.powers.add(self.inner(x))

    @property
    def lost(self) -> list[Lost]:
        """By power and format."""
        return self.inputs.lost("input", 1) + [one for part in self.parts for one in self.powers.lost(*part)]


class _Tally:
    """Counts numbers by the thresholds of powers and formats."""

    def __init__(self, powers: Iterable[int], formats: Iterable[str]) -> None:
        pairs = [(power, name) for power in powers for name in formats]
        self.over = {pair: overflows_from(*pair) for pair in pairs}
        self.under = {pair: underflows_to(*pair) for pair in pairs}
        self.overflow, self.underflow = dict.fromkeys(pairs, 0), dict.fromkeys(pairs, 0)
        self.numbers = 0

    def add(self, x: Tensor) -> None:
        sizes = x.float().abs()  # exactly: no input is wider than float32
        self.numbers += int((sizes > 0).sum())
        large = sizes[sizes >= min(self.over.values())]
        small = sizes[(sizes <= max(self.under.values())) & (sizes > 0)]
        for pair in self.over:
            self.overflow[pair] += int((large >= self.over[pair]).sum()) if len(large) else 0
            self.underflow[pair] += int((small <= self.under[pair]).sum()) if len(small) else 0

    def lost(self, what: str, power: int) -> list[Lost]:
        own = [pair for pair in self.over if pair[0] == power]
        return [Lost(what, power, pair[1], self.numbers, self.overflow[pair], self.underflow[pair]) for pair in own]


@cache
def overflows_from(power: int, word: str) -> float:
    """The smallest float32 whose ``power`` is too large for a format; infinity where no finite one is."""
    info = torch.finfo(FORMATS[word])
    half = Fraction(info.eps) * 2 ** math.floor(math.log2(info.max)) / 2
    limit = Fraction(info.max) + half  # a tie goes to the even neighbour: the one above, but in e4m3
    beyond = partial(_exceeds, limit, power, tie=word != "e4m3")
    return _first(beyond, _root(limit, power))


@cache
def underflows_to(power: int, word: str) -> float:
    """The largest float32 whose ``power`` a format has only zero for; 0 where none is."""
    info = torch.finfo(FORMATS[word])
    limit = Fraction(info.smallest_normal) * Fraction(info.eps) / 2  # a tie goes to zero, which is even
    above = _first(partial(_exceeds, limit, power, tie=False), _root(limit, power))
    return float(np.nextafter(np.float32(above), np.float32(0)))


def _exceeds(limit: Fraction, power: int, x: np.float32, *, tie: bool) -> bool:
    own = Fraction(float(x)) ** power
    return own > limit or (tie and own == limit)


def _root(limit: Fraction, power: int) -> np.float32:
    largest = float(np.finfo(np.float32).max)
    return np.float32(min(largest, math.exp((math.log(limit.numerator) - math.log(limit.denominator)) / power)))


def _first(beyond: Callable[[np.float32], bool], near: np.float32) -> float:
    """The smallest float32 above 0 that is ``beyond``, or infinity."""
    x, up, down = near, np.float32(np.inf), np.float32(0)
    while np.isfinite(x) and not beyond(x):
        with np.errstate(over="ignore"):  # past the largest comes infinity
            x = np.nextafter(x, up)
    while np.isfinite(x) and x > 0 and beyond(np.nextafter(x, down)):
        x = np.nextafter(x, down)
    return float(x)


def _powers(activation: nn.Module) -> tuple[Callable[[Tensor], Tensor], int, bool]:
    """What an activation takes powers of, to which order, and whether it then norms them."""
    if isinstance(activation, PerExpert):
        norms = getattr(activation.function, "func", activation.function) is reference.polynorm
        return (_itself if norms else F.relu), activation.coeff.shape[1] - 1, norms
    if isinstance(activation, SquaredReLU | SquaredLeakyReLU):
        return F.relu, 2, False
    order = activation.order if isinstance(activation, Polynomial) else 1
    if isinstance(activation, PolyCom) and activation.kind == "I":
        return activation.rho, order, False
    positive = isinstance(activation, PolyReLU | PolyReLUGLU | PolyReLUNorm)
    return (F.relu if positive else _itself), order, isinstance(activation, PolyNorm | PolyNormGLU | PolyReLUNorm)


def _itself(x: Tensor) -> Tensor:
    return x
