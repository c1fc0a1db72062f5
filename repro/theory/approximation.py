"""What ReLU networks only come near: Lemmas A.1 and 2, and Theorem 2, with their errors against their sizes.

Towers are as high as a tolerance needs, so an error below it is what the construction promises; it is measured at
points that are drawn with a seed. Each statement takes what it replaces a neuron or a monomial with.
"""

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from repro.theory import replacement
from repro.theory.findings import Curve, Finding
from repro.theory.fitting import curve, per_unit
from repro.theory.networks import Network, total
from repro.theory.random_networks import Drawn, tolerances
from repro.theory.replacement import Monomial, Replace

SEED = 7
_ORDERS = (2, 3, 4)
_POLYNOMIALS = ((1, 2, 1), (3, 3, 2), (5, 4, 3), (8, 6, 2))  # s monomials of degree r in d variables
_DEEP = ((2, 4, 2), (4, 6, 3), (6, 6, 3))  # depth, width, inputs
_ONES = (1, 1, 1, 1)
OURS = 1.0  # the exponent of the logarithm that these constructions give
NEARER_TO_LN = 1.5  # an exponent of the logarithm that is nearer to 1 than to 2: small sizes have constants


def findings() -> list[Finding]:
    """Those of this module, in the paper's order."""
    return [lemma_2(), theorem_2(), lemma_a1()]


@dataclass(frozen=True)
class Try:
    """A network that was built for a tolerance.

    Attributes:
        asked: the tolerance.
        error: the largest that was seen.
        inside: whether all values and layers stay where the statement wants them.
        size: parameters.
        logarithm: what the statement's size is a function of.
        layers: of each layer, how far off it is, over what it may be.
    """

    asked: float
    error: float
    inside: bool
    size: float
    logarithm: float
    layers: tuple[float, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether it is as near as was asked, and stays where it should."""
        return self.error < self.asked and self.inside


def lemma_2(replace: Replace = replacement.neuron) -> Finding:
    """One PolyReLU activation as a ReLU network, with the coefficients that section 2 begins with."""
    asked = [10.0**-k for k in range(1, 13)]
    tries = {order: [_one_neuron(replace, order, eps) for eps in asked] for order in _ORDERS}
    curves = tuple(_curve(f"order {order}", group, paper=2.0) for order, group in tries.items())
    network = Network(1)
    at_one = network.exact([network.neuron(network.input(0), _ONES)], [1])[0]
    each = {order: per_unit([t.logarithm for t in group], [t.size for t in group]) for order, group in tries.items()}
    return Finding(
        id="lemma-2",
        place="Lemma 2",
        claim="A PolyReLU activation on [-1, 1] is within eps of a ReLU network of size O(ln^2(1/eps)).",
        holds=all(t.holds for t in chain(*tries.values())) and all(c.slope <= 2 for c in curves),
        as_stated=abs(at_one) <= 1,
        title="size against the logarithm of the error",
        key=f"grows as ln(1/eps)^{curves[1].slope:.2f}",
        measured=(
            f"{_near(tries.values())}, from {asked[0]:.0e} to {asked[-1]:.0e}; at order 3 each further e-fold took "
            f"{each[3]:.3g} parameters."
        ),
        differs=(
            f"For a fixed order the size is O(ln(1/eps)): it grows as ln(1/eps)^{curves[1].slope:.2f}, not ^2, as the "
            f"first of Lemma A.1's two sizes gives. With all a_i in [-1, 1] alone, as is written, f does not map into "
            f"[-1, 1]: a = (1, 1, 1, 1) gives PolyReLU(1) = {at_one}."
        ),
        numbers={f"parameters_per_efold_order_{order}": value for order, value in each.items()},
        curves=curves,
        x_label="ln(1/error)",
        y_label="parameters of the ReLU network",
    )


def lemma_a1(monomial: Monomial = replacement.monomial) -> Finding:
    """Polynomials of several variables as ReLU networks."""
    asked = [10.0**-k for k in range(1, 11)]
    tries = {which: [_polynomial(monomial, *which, eps) for eps in asked] for which in _POLYNOMIALS}
    curves = tuple(_curve(f"s = {s}, r = {r}, d = {d}", group, paper=1.0) for (s, r, d), group in tries.items())
    most = max(t.size / t.logarithm for t in chain(*tries.values()))
    return Finding(
        id="lemma-a1",
        place="Lemma A.1",
        claim=(
            "A polynomial of s monomials of degree r, of [0, 1]^d into [-1, 1], is within eps of a ReLU network of "
            "size O(min(s r ln(s r / eps), s d ln^2(d s r / eps)))."
        ),
        holds=all(t.holds for t in chain(*tries.values())) and all(c.slope < NEARER_TO_LN for c in curves),
        measured=(
            f"{_near(tries.values())}, from {asked[0]:.0e} to {asked[-1]:.0e}, with at most {most:.3g} "
            "s r ln(s r / eps) parameters."
        ),
        differs="Only the first of the two sizes is built; for a fixed degree it is the smaller, a single logarithm.",
        title="size against its logarithm",
        key=f"at most {most:.3g} s r ln(s r / eps) parameters",
        numbers={"parameters_over_srln": most},
        curves=curves,
        x_label="ln(s r / eps)",
        y_label="parameters / (s r)",
    )


def theorem_2(replace: Replace = replacement.neuron) -> Finding:
    """Random PolyReLU networks as ReLU networks, with the proof's tolerances for each layer."""
    asked = (1e-2, 1e-4, 1e-6, 1e-8)
    deep = {shape: Drawn.of(SEED, depth=shape[0], width=shape[1], inputs=shape[2]) for shape in _DEEP}
    tries = {shape: [_deep(replace, drawn, eps) for eps in asked] for shape, drawn in deep.items()}
    curves = tuple(
        _curve(f"L = {shape[0]}, K = {shape[1]}, alpha = {drawn.alpha:.2f}", tries[shape], paper=2.0)
        for shape, drawn in deep.items()
    )
    ratios = [t.size / t.logarithm for t in chain(*tries.values())]
    used = [share for t in chain(*tries.values()) for share in t.layers]
    leaves, flat = _outside(), _flat()
    return Finding(
        id="theorem-2",
        place="Theorem 2, upper bound",
        claim=(
            "A PolyReLU network of depth L, width K and slopes up to alpha is within eps of a ReLU network of size "
            "O(L K ln^2(L alpha^L / eps))."
        ),
        holds=all(t.holds for t in chain(*tries.values())) and all(c.slope <= 2 for c in curves),
        as_stated=all(abs(seen) <= 1 for seen in leaves),
        title="size against its logarithm",
        key=f"{min(ratios):.2g} to {max(ratios):.2g} ln(L alpha^L / eps) parameters each",
        measured=(
            f"{_near(tries.values())}, from {asked[0]:.0e} to {asked[-1]:.0e}. By the tolerances layer i may be off by "
            f"i eps / (L alpha^(L - i)); at most {100 * max(used):.2g} % of that was seen. Parameters of PolyReLU took "
            f"{min(ratios):.2g} to {max(ratios):.2g} ln(L alpha^L / eps) of ReLU each."
        ),
        differs=(
            "The square of the logarithm is not needed (Lemma 2). The condition has to be ||a||_1 + |b| <= 1, as in "
            f"Eq. 17: with a = 1/2, b = -10 the written ||a||_1 + b <= 1 holds, and inputs are between {leaves[0]} and "
            f"{leaves[1]}, outside [-1, 1]. {flat.sentence}"
        ),
        numbers={"least_ratio": min(ratios), "largest_ratio": max(ratios), "most_used": max(used), **flat.numbers},
        curves=curves,
        x_label="ln(L alpha^L / eps)",
        y_label="ReLU parameters for each of PolyReLU",
    )


def _near(tries: Iterable[Sequence[Try]]) -> str:
    together = list(chain(*tries))
    return f"{sum(t.holds for t in together)} of {len(together)} networks are within what was asked"


def _curve(name: str, tries: Sequence[Try], *, paper: float) -> Curve:
    return curve(name, [t.logarithm for t in tries], [t.size for t in tries], paper=paper, ours=OURS)


def _one_neuron(replace: Replace, order: int, eps: float) -> Try:
    network, coefficients = Network(1), [0.0, *[1 / order] * order]
    x = network.input(0)
    ours = replace(network, x, coefficients, eps)
    points = _points(4001, 1, low=-1)
    values = network.evaluate([ours, network.neuron(x, coefficients)], points)
    error = _largest(values[:, 0] - values[:, 1])
    return Try(eps, error, _largest(values[:, 0]) <= 1, network.size([ours]).parameters, math.log(1 / error))


def _polynomial(monomial: Monomial, s: int, r: int, d: int, eps: float) -> Try:
    rng, network = random.Random(SEED), Network(d)
    variables = [[rng.randrange(d) for _ in range(r)] for _ in range(s)]
    sizes = [rng.uniform(-1, 1) for _ in range(s)]
    coefficients = [c / sum(map(abs, sizes)) for c in sizes]
    monomials = [monomial(network, [network.input(k) for k in of], eps / (r - 1)) for of in variables]
    built = total(each * c for each, c in zip(monomials, coefficients, strict=True))
    points = _points(1000, d, low=0)
    truth = sum(c * np.prod(points[:, of], axis=1) for c, of in zip(coefficients, variables, strict=True))
    error = _largest(network.evaluate([built], points)[:, 0] - truth)
    return Try(eps, error, True, network.size([built]).parameters / (s * r), math.log(s * r / eps))


def _deep(replace: Replace, drawn: Drawn, eps: float) -> Try:
    """Both networks, compared neuron by neuron."""
    depth, alpha, network = len(drawn.layers), max(1.0, drawn.alpha), Network(drawn.inputs)
    allowed = tolerances(eps, depth=depth, alpha=alpha)
    truth = drawn.built(network, lambda _, z, c: network.neuron(z, c))
    ours = drawn.built(network, lambda layer, z, c: replace(network, z, c, allowed[layer]))
    points = _points(500, drawn.inputs, low=-1)
    values = [network.evaluate(list(chain(*layers)), points) for layers in (ours, truth)]
    errors = np.abs(values[0] - values[1]).max(0).reshape(depth, -1).max(1)
    used = tuple(float(error / (i * allowed[i - 1])) for i, error in enumerate(errors, start=1))
    size = network.size(ours[-1]).parameters / network.size(truth[-1]).parameters
    return Try(eps, float(errors[-1]), max(used) <= 1, size, math.log(depth * alpha**depth / eps), used)


@dataclass(frozen=True)
class _Flat:
    """What the proof's sizes come to where the slopes are below 1."""

    sentence: str
    numbers: dict[str, float]


def _flat(alpha: float = 0.5, depth: int = 6) -> _Flat:
    """At ``eps = L alpha^L`` the logarithm is 0, and yet the last layer is asked for eps / L."""
    drawn, eps = Drawn.of(SEED, depth=depth, width=4, inputs=2).flattened(alpha), depth * alpha**depth
    network, allowed = Network(2), tolerances(eps, depth=depth, alpha=alpha)
    built = drawn.built(network, lambda layer, z, c: replacement.neuron(network, z, c, allowed[layer]))
    parameters = network.size(built[-1]).parameters
    first = tolerances(0.5, depth=depth, alpha=alpha)[0]
    sentence = (
        f"For alpha < 1 the proof's sum fails: with alpha = {alpha:g}, L = {depth}, eps = L alpha^L = {eps:.2g} the "
        f"stated logarithm is 0, while the last layer's tolerance is {allowed[-1]:.2g} and the proof's network has "
        f"{parameters} parameters; at eps = 0.5 the first tolerance is {first:.2g}, which Lemma 2 does not allow. With "
        "max(1, alpha) it goes through; the statement may hold all the same, since a constant is within alpha^L there."
    )
    return _Flat(sentence, {"flat_eps": eps, "flat_parameters": parameters, "flat_first_tolerance": first})


def _outside() -> list[Fraction]:
    """What a neuron sees at -1 and 1 with a = 1/2 and b = -10."""
    network = Network(1)
    form = network.input(0) * Fraction(1, 2) - 10
    return [network.exact([form], [x])[0] for x in (-1, 1)]


def _points(n: int, inputs: int, *, low: int) -> NDArray[np.float64]:
    drawn: NDArray[np.float64] = np.random.default_rng(SEED).uniform(low, 1, (n, inputs))
    drawn[:2] = [[low], [1]]
    return drawn


def _largest(values: NDArray[np.float64]) -> float:
    return float(np.abs(values).max())
