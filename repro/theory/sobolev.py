"""Theorem 3, measured: PolyReLU networks, ReLU networks beside them, and networks of squares alone."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import product
from random import Random

from repro.theory.construction import POLYRELU, SQUARES, Kind, Ridge, build, indices
from repro.theory.findings import Finding
from repro.theory.networks import Number
from repro.theory.rates import CELLS, RELU_CELLS, SINES, SMOOTHNESS, Rate, Ratio, members, rate, ratio, step

ROUGHEST, SMOOTHEST = SMOOTHNESS[0], SMOOTHNESS[-1]
FLAT = 1.15  # how far apart the largest and the smallest of a constant may be
EQUAL = 1.005  # a ratio of sizes that is printed as 1.00
SIZE, ERROR = "parameters", "largest error"
WHERE = {1: "one dimension", 2: "two dimensions"}


def definition_1() -> list[Finding]:
    """That what is approximated lies in the ball."""
    norms = [member.norm() for d in CELLS for n in SMOOTHNESS for member in members(n, d)]
    waves = " and ".join(f"sin({w:g} s + {p:g}) / {w:g}^n" for w, p in SINES)
    return [
        Finding(
            id="definition-1",
            place="Definition 1, Eqs. 12-13",
            claim="The functions that networks are built for lie in the unit ball F(n,d): no derivative up to order n "
            "is above 1.",
            holds=max(norms) <= 1 + 1e-12,
            measured=f"{waves} of s = x_1 + ... + x_d, d = {_listed(CELLS, '')}, n = "
            f"{_listed(SMOOTHNESS, '')}: the largest derivative is between "
            f"{min(norms):.6f} and {max(norms):.6f}.",
            key=f"the largest derivative is {max(norms):.6f}",
            numbers={"smallest": min(norms), "largest": max(norms)},
        )
    ]


def theorem_3(dimensions: int, kind: Kind = POLYRELU) -> list[Finding]:
    """Size and error of the paper's networks, with those of ReLU beside the smoothest."""
    rates = [rate(kind, n, dimensions) for n in SMOOTHNESS]
    relu = ratio(SMOOTHEST, dimensions).relu
    return [
        Finding(
            id=f"theorem-3-d{dimensions}",
            place=f"Theorem 3, {WHERE[dimensions]}",
            claim="For every function of F(n,d) there is a PolyReLU network of size O(eps^(-d/n)) with an error below "
            "eps.",
            holds=all(each.holds for each in rates),
            measured=_measured(rates),
            differs=_differs(rates),
            title="error against size",
            key="of sines, error ~ N to the " + _listed(each.fall for each in rates),
            numbers=_numbers(rates),
            curves=(*(each.curve() for each in rates), relu.curve()),
            x_label=SIZE,
            y_label=ERROR,
        )
    ]


def equation_34(seed: int = 0, points: int = 25) -> list[Finding]:
    """That the network is the mixture of Taylor polynomials, not nearly but exactly."""
    wrong = sum(_mismatches(Cubic(n, d), cells, seed, points) for n, d, cells in EXACT)
    cases = ", ".join(f"n = {n} d = {d} N = {cells}" for n, d, cells in EXACT)
    return [
        Finding(
            id="equation-34",
            place="Eq. 34",
            claim="The network is the mixture of Taylor polynomials itself: its products are exact.",
            holds=wrong == 0,
            measured=f"In rational arithmetic, of (s^3 - s / 2) / 6: {wrong} of {points * len(EXACT)} random points "
            f"where the two differ ({cases}).",
            key=f"{wrong} of {points * len(EXACT)} values differ",
            numbers={"points": points * len(EXACT), "different": wrong},
        )
    ]


def against_relu(ratio: Callable[[int, int], Ratio] = ratio) -> list[Finding]:
    """The logarithm that ReLU pays for products, and where it pays none."""
    ratios = [ratio(n, 1) for n in SMOOTHNESS]
    plane = ratio(SMOOTHEST, 2)
    smooth = ratios[-1]
    free = "; ".join(f"at n = {each.relu.smoothness} the ratio is {_range(each.ratios)}" for each in ratios[:-1])
    return [
        Finding(
            id="against-relu",
            place="After Theorem 3, the ReLU networks",
            claim=f"At n = {SMOOTHEST} the same construction of ReLU neurons is larger by a factor of ln(1/eps) for "
            "the same error.",
            holds=all(max(each.constants) <= FLAT * min(each.constants) for each in (smooth, plane)),
            measured=f"At n = {SMOOTHEST} the ratio of parameters is {_listed(smooth.ratios)} at N = "
            f"{_listed(RELU_CELLS[1], '')} in one dimension, which is {_listed(smooth.constants)} ln(1/eps), and "
            f"{_listed(plane.ratios)} at N = {_listed(RELU_CELLS[2], '')} in two, which is {_listed(plane.constants)} "
            f"ln(1/eps). In one dimension ReLU is {_depths(smooth.relu)} neurons deep and PolyReLU "
            f"{_depths(rate(POLYRELU, SMOOTHEST, 1))}.",
            as_stated=all(min(each.ratios) > EQUAL for each in (*ratios, plane)),
            differs="The paper concludes that PolyReLU is superior to ReLU and rational networks. What it compares are "
            f"upper bounds, and in one dimension ReLU pays no logarithm up to n = 2: {free}. Rational networks are not "
            "built here.",
            title="what ReLU pays for products",
            key=f"at n = {SMOOTHEST} {_listed(smooth.constants)} ln(1/eps) times as large in one dimension, "
            f"{_listed(plane.constants)} in two; at n = {ratios[0].relu.smoothness} {_range(ratios[0].ratios)} times",
            numbers={
                f"ratio_n{each.relu.smoothness}_d{each.relu.dimensions}_N{N}": value
                for each in (*ratios, plane)
                for N, value in zip(RELU_CELLS[each.relu.dimensions], each.ratios, strict=True)
            },
            curves=(*(each.curve(1.0, None if each is smooth else 0.0) for each in ratios), plane.curve(1.0, None)),
            x_label="ln(1 / largest error)",
            y_label="parameters of ReLU over those of PolyReLU",
        )
    ]


def squares(kind: Kind = SQUARES) -> list[Finding]:
    """That the rate is not PolyCom's own."""
    rates = [rate(kind, n, 1) for n in SMOOTHNESS]
    ours = rates[-1].steps[-1]
    beside = step(POLYRELU, SMOOTHEST, 1, ours.cells)
    return [
        Finding(
            id="squares",
            place="Theorem 3, of squares alone (ours)",
            claim="Networks whose neurons all are max(z, 0)^2, ReLU², reach the rate of Theorem 3 by its own proof, "
            "with quadratic splines as the partition of unity.",
            holds=all(each.holds for each in rates),
            measured=_measured(rates),
            differs="The rate is not PolyReLU's own, but that of all neurons whose squares are exact: at "
            f"n = {SMOOTHEST}, N = {ours.cells} ReLU² takes {ours.size.parameters:,} parameters for an error of "
            f"{ours.error:.1e}, PolyReLU {beside.size.parameters:,} for {beside.error:.1e}.",
            title="error against size of ReLU² networks",
            key="of sines, error ~ N to the " + _listed(each.fall for each in rates),
            numbers=_numbers(rates),
            curves=tuple(each.curve() for each in rates),
            x_label=SIZE,
            y_label=ERROR,
        )
    ]


Part = Callable[[], list[Finding]]
PARTS: tuple[Part, ...] = (
    definition_1,
    partial(theorem_3, 1),
    partial(theorem_3, 2),
    equation_34,
    against_relu,
    squares,
)


def findings() -> list[Finding]:
    """All of them."""
    return [finding for part in PARTS for finding in part()]


@dataclass(frozen=True)
class Cubic:
    """``(s^3 - s / 2) / 6`` of the sum of the inputs, whose derivatives are rational where ``s`` is."""

    smoothness: int
    dimensions: int

    def taylor(self, s: Fraction) -> Sequence[Number]:
        """Derivatives of order 0 to ``smoothness - 1``."""
        return [(s**3 - s / 2) / 6, (s**2 * 3 - Fraction(1, 2)) / 6, s][: self.smoothness]


EXACT = ((1, 1, 3), (2, 1, 3), (3, 1, 3), (3, 2, 2))  # smoothness, dimensions, cells


def _mismatches(function: Cubic, cells: int, seed: int, points: int) -> int:
    """Random points at which the network is not the mixture."""
    built, random = build(POLYRELU, function, cells), Random(seed)
    drawn = [[Fraction(random.randint(-997, 997), 997) for _ in range(function.dimensions)] for _ in range(points)]
    return sum(built.network.exact([built.output], x) != [mixture(function, cells, x)] for x in drawn)


def mixture(function: Ridge, cells: int, x: Sequence[Fraction]) -> Number:
    """``f_N(x) = sum_m phi_m(x) P_m(x)``, without a network; of a ridge, ``P_m`` is a polynomial in the sum."""
    value: Number = Fraction(0)
    for m in product(range(-cells, cells + 1), repeat=function.dimensions):
        far = [abs(at - Fraction(k, cells)) * 3 * cells for at, k in zip(x, m, strict=True)]
        phi = math.prod(max(Fraction(0), min(Fraction(1), 2 - each)) for each in far)
        centre = Fraction(sum(m), cells)
        terms = enumerate(function.taylor(centre))
        value += phi * sum(c * (sum(x) - centre) ** k / math.factorial(k) for k, c in terms)
    return value


def _measured(rates: Sequence[Rate]) -> str:
    d = rates[0].dimensions
    grid = "2 N + 1" if d == 1 else f"(2 N + 1)^{d}"
    return (
        f"N = {_listed(CELLS[d], '')}; parameters go with {grid}, which grows less than N^{d}, so that slopes over "
        f"them are a little steeper. {'; '.join(map(_of_one, rates))}."
    )


def _of_one(rate: Rate) -> str:
    n, d = rate.smoothness, rate.dimensions
    return (
        f"n = {n}: error ~ N^{rate.fall:.2f} (theory {-n}), {rate.steps[-1].per_point:.1f} parameters a point of the "
        f"grid, error ~ parameters^{rate.curve().slope:.2f} (theory {-n / d:.3g}), at most "
        f"{rate.share:.2f} of Eq. 29's bound"
    )


def _differs(rates: Sequence[Rate]) -> str:
    n, d = SMOOTHEST, rates[0].dimensions
    return (
        f"For n = {n} the proof counts d^n = {d**n} terms a point of the grid; a Taylor polynomial has C(n + d - 1, d) "
        f"= {len(indices(n, d))}. It counts no neurons for products: with them a point takes "
        f"{rates[-1].steps[-1].per_point:.0f} parameters. The factor 2^d of Eq. 29 is not needed, since the partition "
        f"of unity has the sum 1: errors are at most {max(each.margin for each in rates):.2f} of the bound without it."
    )


def _numbers(rates: Sequence[Rate]) -> dict[str, float]:
    return {
        f"{name}_n{each.smoothness}": value
        for each in rates
        for name, value in (
            ("error_over_N", each.fall),
            ("size_over_2N+1", each.growth),
            ("parameters_per_point", each.steps[-1].per_point),
            ("share_of_equation_29", each.share),
        )
    }


def _depths(of: Rate) -> str:
    least, most = of.steps[0].size.depth, of.steps[-1].size.depth
    return f"{least}" if least == most else f"{least} to {most}"


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def _listed(values: Iterable[float], form: str = ".2f") -> str:
    return ", ".join(f"{value:{form}}" for value in values)
