"""What PolyReLU networks compute exactly: Lemma 1, Theorem 1, Eq. 3, 5 and 6.

Equal means ``==`` of rational numbers, at points that are drawn with a seed. Each statement is a function that takes
what it builds with, so that it can be seen to find a wrong construction.
"""

import random
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import torch

from repro.activations import reference
from repro.theory.algebra import Polynomials
from repro.theory.findings import Finding
from repro.theory.fitting import curve
from repro.theory.layers import Layers, rationals
from repro.theory.networks import RELU, Affine, Network, Number
from repro.theory.powers import lemma_a4
from repro.theory.translation import corollary_a1, lemma_a3

Norm = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
SEED = 0
_NETWORKS, _POINTS = 5, 20  # that Theorem 1 is tried on, and points of each
_ROUNDINGS = 1e-12  # of numbers of about 1 in float64
_POLYNOMIAL = (Fraction(1, 3), Fraction(-2), Fraction(5, 7), Fraction(-3, 2))


def findings() -> list[Finding]:
    """Those of this module, in the paper's order."""
    return [equation_3(), lemma_1(), equations_5_6(), theorem_1(), lemma_a3(), corollary_a1(), lemma_a4()]


def l2(x: torch.Tensor, coeff: torch.Tensor) -> torch.Tensor:
    """The kit's PolyNorm as Eq. 3 has it, without the eps that is not in the paper."""
    return reference.polynorm(x, coeff, eps=0.0, norm="l2")


def equation_3(widths: Sequence[int] = (4, 2048, 8256), norm: Norm = l2) -> Finding:
    """PolyNorm with its L2 norms, and its constant term."""
    generator = torch.Generator().manual_seed(SEED)
    rows = [torch.randn(width, dtype=torch.float64, generator=generator) for width in widths]
    off = max(_off_from_equation_3(norm, x, generator) for x in rows)
    constants = [float(norm(x, torch.eye(4, dtype=torch.float64)[0])[0]) for x in rows]
    return Finding(
        id="equation-3",
        place="Eq. 3",
        claim="PolyNorm adds up the powers of x, each over its L2 norm; the power 0 is a row of ones.",
        holds=off < _ROUNDINGS,
        measured=f"Of orders 1 to 6 and drawn coefficients it is within {off:.0g} of the sum written out, in float64. "
        "With a_0 = 1 alone PolyNorm is "
        + ", ".join(f"{c:.3g} at a width of {width}" for c, width in zip(constants, widths, strict=True))
        + ".",
        differs=(
            f"The term of i = 0 is a_0 / sqrt(d) and no constant of its own: at d = {widths[-1]} a_0 counts "
            f"{constants[-1]:.3g} of itself. The official code adds a_0 as it is, and takes the root mean square."
        ),
        key=f"{off:.0g} off the sum; the power 0 is {constants[-1]:.3g} at a width of {widths[-1]}",
        numbers={f"constant_at_{width}": c for width, c in zip(widths, constants, strict=True)} | {"off": off},
    )


def lemma_1(represent: Callable[[Polynomials, Affine, Sequence[Number]], Affine] = Polynomials.polynomial) -> Finding:
    """ReLU, ReLU squared and polynomials as PolyReLU networks."""
    network, points = Network(1), rationals(random.Random(SEED), 200)
    x = network.input(0)
    polynomial = represent(Polynomials(network, 3), x, _POLYNOMIAL)
    built = [network.neuron(x, RELU), network.neuron(x, (0, 0, 1)), polynomial]
    wrong = sum(
        value != truth
        for p in points
        for value, truth in zip(network.exact(built, [p]), (_relu(p), _relu(p) ** 2, _polynomial(p)), strict=True)
    )
    one = [network.exact([network.neuron(x, _POLYNOMIAL)], [Fraction(p)])[0] for p in (-1, -2)]
    neurons = network.size([polynomial]).neurons
    return Finding(
        id="lemma-1",
        place="Lemma 1",
        claim="ReLU, ReLU squared and any polynomial of degree 3 are PolyReLU networks of order 3.",
        holds=wrong == 0,
        measured=f"{wrong} of {3 * len(points)} values differ; the polynomial took {neurons} neurons.",
        differs=(
            f"A polynomial is no special case of the activation: one neuron is constant left of its kink (it gives "
            f"{one[0]} at -1 and {one[1]} at -2, where the polynomial is {_polynomial(Fraction(-1))} and "
            f"{_polynomial(Fraction(-2))}), so it takes two, of x and of -x."
        ),
        key=f"{wrong} of {3 * len(points)} values differ",
        numbers={"values": 3 * len(points), "different": wrong, "neurons_of_polynomial": neurons},
    )


def equations_5_6(sign: int = -1) -> Finding:
    """Powers from both halves of the line."""
    powers, points = range(1, 8), rationals(random.Random(SEED + 1), 100)
    wrong = sum(p**i != _halves(p, i, sign) for i in powers for p in points)
    at_zero = _halves(Fraction(1), 0, sign)
    return Finding(
        id="equations-5-6",
        place="Eq. 5 and 6",
        claim="x^i = ReLU(x)^i + (-1)^i ReLU(-x)^i for i >= 1.",
        holds=wrong == 0,
        as_stated=wrong == 0 and at_zero == 1,
        key=f"{wrong} of {len(powers) * len(points)} values differ; at i = 0 the sum is {at_zero}",
        measured=f"{wrong} of {len(powers) * len(points)} values differ for i = 1 to {powers[-1]}.",
        differs=f"Stated for all natural i; at i = 0, where Eq. 2 counts ReLU(x)^0 as 1, the sum is {at_zero} != 1.",
        numbers={"values": len(powers) * len(points), "different": wrong, "sum_at_i_0": int(at_zero)},
    )


def theorem_1(coefficients: Sequence[Number] = (0, 1, 0, 0)) -> Finding:
    """ReLU networks as PolyReLU networks of the same weights."""
    rng = random.Random(SEED + 2)
    wrong, values = sum(_as_polyrelu(rng, coefficients) for _ in range(_NETWORKS)), _NETWORKS * _POINTS
    widths = (16, 32, 64, 128)
    sizes = [_size_of(rng, width, coefficients) for width in widths]
    neurons = curve("neurons", widths, [size[0] for size in sizes], paper=1.0)
    parameters = curve("parameters", widths, [size[1] for size in sizes], paper=1.0, ours=2.0)
    return Finding(
        id="theorem-1",
        place="Theorem 1",
        claim="A ReLU network of depth L and width K is a PolyReLU network of size O(LK).",
        holds=wrong == 0 and all(size[0] == 3 * width for size, width in zip(sizes, widths, strict=True)),
        measured=(
            f"{wrong} of {values} values differ, in rationals, and in float64 to the bit; a network of depth 3 and "
            f"width {widths[-1]} has {sizes[-1][0]} neurons and {sizes[-1][1]} parameters."
        ),
        differs=(
            f"The size counts neurons, L K; parameters grow as K^{parameters.slope:.2f}, which is O(L K^2), while "
            "Theorems 2 and 3 count parameters."
        ),
        title="size against width",
        key=f"{wrong} of {values} values differ",
        numbers={"values": values, "different": wrong, "slope_of_neurons": neurons.slope},
        curves=(neurons, parameters),
        x_label="width K, at depth L = 3",
        y_label="size",
    )


def _off_from_equation_3(norm: Norm, x: torch.Tensor, generator: torch.Generator) -> float:
    """How far it is from Eq. 3 term by term, the power 0 among them, over orders."""
    found = []
    for order in range(1, 7):
        coeff = torch.randn(order + 1, dtype=torch.float64, generator=generator)
        terms = [a * x**i / (x**i * x**i).sum() ** 0.5 for i, a in enumerate(coeff)]
        found.append(float((norm(x, coeff) - sum(terms)).abs().max()))
    return max(found)


def _as_polyrelu(rng: random.Random, coefficients: Sequence[Number]) -> int:
    """At how many points a PolyReLU network gives another value than the ReLU network of its weights."""
    drawn, network = Layers.drawn(rng, inputs=3, width=5, depth=3), Network(3)
    plain = drawn.built(network, network.relu)
    poly = drawn.built(network, lambda z: network.neuron(z, coefficients))
    points = [rationals(rng, 3, largest=1) for _ in range(_POINTS)]
    floats = np.array(points, float)
    same = np.equal(network.evaluate(plain, floats), network.evaluate(poly, floats))[:, 0]
    truths = [drawn.values(p, _relu) for p in points]
    return sum(network.exact(poly, p) != truth or not bits for p, truth, bits in zip(points, truths, same, strict=True))


def _size_of(rng: random.Random, width: int, coefficients: Sequence[Number]) -> tuple[int, int]:
    network = Network(3)
    size = network.size(
        Layers.drawn(rng, inputs=3, width=width, depth=3).built(network, lambda z: network.neuron(z, coefficients))
    )
    return size.neurons, size.parameters


def _relu(x: Fraction) -> Fraction:
    return max(x, Fraction(0))


def _polynomial(x: Fraction) -> Fraction:
    return sum((c * x**i for i, c in enumerate(_POLYNOMIAL)), Fraction(0))


def _halves(x: Fraction, i: int, sign: int) -> Fraction:
    right, left = _relu(x) ** i, _relu(-x) ** i
    return Fraction(right + sign**i * left)
