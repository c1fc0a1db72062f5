"""Lemma A.4: powers of any degree as PolyReLU networks, exactly, and how many neurons they take."""

import math
import random
from collections.abc import Callable, Sequence
from fractions import Fraction

from repro.theory.algebra import Polynomials
from repro.theory.findings import Finding
from repro.theory.fitting import curve
from repro.theory.layers import rationals
from repro.theory.networks import Affine, Network

SEED = 5
Power = Callable[[Polynomials, Affine, int], Affine]
_ORDERS = (2, 3, 4)
_POWERS = (1, 2, 3, 5, 8, 13, 21, 31, 64, 127, 255, 511, 1000, 1023)
_DIGITS = (4, 8, 16, 32, 64)


def lemma_a4(power: Power = Polynomials.power) -> Finding:
    """``x^n`` for n up to 1023, and the size of far higher powers."""
    points = rationals(random.Random(SEED), 4, largest=9)
    values = len(_ORDERS) * len(_POWERS) * len(points)
    wrong = sum(_wrong(power, order, points) for order in _ORDERS)
    ln_n = [math.log(3**k - 1) for k in _DIGITS]
    ours = curve("one chain of powers (ours)", ln_n, _sizes(power), paper=2.0, ours=1.0)
    theirs = curve("a chain for each digit, as O(ln² n) counts", ln_n, _sizes(rebuilt), paper=2.0)
    largest = {order: _neurons(power, order, 1023) for order in _ORDERS}
    by_order = ", ".join(f"{n} at order {order} ({n / math.log(1023):.1f} ln n)" for order, n in largest.items())
    return Finding(
        id="lemma-a4",
        place="Lemma A.4",
        claim="x^n is a PolyReLU network of size O(ln^2 n), exactly and on the whole line.",
        holds=wrong == 0 and ours.slope <= 2,
        measured=(
            f"{wrong} of {values} values differ, n from {_POWERS[0]} to {_POWERS[-1]}, orders "
            f"{', '.join(map(str, _ORDERS))}. "
            f"n = {_POWERS[-1]} took {by_order} neurons; in n they grow as (ln n)^{ours.slope:.2f}."
        ),
        differs=(
            f"The size is O(ln n) where the digits of n share one chain of powers; a chain for each digit makes it "
            f"(ln n)^{theirs.slope:.2f}. How factors are multiplied the proof does not say: here as "
            f"((a + b)^2 - (a - b)^2) / 4, of {_neurons_of_a_product()} neurons, which needs order 2 or more."
        ),
        title="neurons of a power",
        key=f"{wrong} of {values} values differ; neurons as (ln n)^{ours.slope:.2f}",
        numbers={"different": wrong, **{f"neurons_of_1023_at_order_{order}": n for order, n in largest.items()}},
        curves=(ours, theirs),
        x_label="ln n, n = 3^k - 1, order 3",
        y_label="neurons",
    )


def rebuilt(algebra: Polynomials, a: Affine, n: int) -> Affine:
    """``a^n`` with a chain of powers for each digit of ``n``, instead of one for all."""
    factors, place = [], 0
    while n:
        n, digit = divmod(n, algebra.order)
        if digit:
            factors.append(algebra.power(algebra.power(a, algebra.order**place), digit))
        place += 1
    return algebra.product_of(factors)


def _wrong(power: Power, order: int, points: Sequence[Fraction]) -> int:
    network = Network(1)
    built = [power(Polynomials(network, order), network.input(0), n) for n in _POWERS]
    return sum(value != p**n for p in points for n, value in zip(_POWERS, network.exact(built, [p]), strict=True))


def _sizes(power: Power) -> list[int]:
    """Of powers whose digits are all the largest."""
    return [_neurons(power, 3, 3**k - 1) for k in _DIGITS]


def _neurons(power: Power, order: int, n: int) -> int:
    network = Network(1)
    return network.size([power(Polynomials(network, order), network.input(0), n)]).neurons


def _neurons_of_a_product() -> int:
    network = Network(2)
    return network.size([Polynomials(network, 2).product(network.input(0), network.input(1))]).neurons
