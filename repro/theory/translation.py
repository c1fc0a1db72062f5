"""Networks of any piecewise-linear activation as ReLU networks and back: Lemma A.3 and Corollary A.1."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from repro.theory.findings import Finding
from repro.theory.layers import Layers, rationals
from repro.theory.networks import Affine, Network, Size
from repro.theory.piecewise import LEAKY_RELU, RELU, RELU6, PiecewiseLinear

SEED = 3
Build = Callable[[PiecewiseLinear, Network, Affine], Affine]
_KNOWN = {"LeakyReLU": LEAKY_RELU, "ReLU6": RELU6}
_POINTS = 30
_FAR = 1000


def lemma_a3(to_relu: Build = PiecewiseLinear.built, to_rho: Callable[..., Layers] = Layers.of) -> Finding:
    """LeakyReLU and ReLU6, in both directions."""
    rng = random.Random(SEED)
    found = {name: _both_ways(rho, rng, to_relu, to_rho) for name, rho in _KNOWN.items()}
    wrong = sum(each.wrong for each in found.values())
    sizes = "; ".join(f"{name}: {each.sizes}" for name, each in found.items())
    return Finding(
        id="lemma-a3",
        place="Lemma A.3",
        claim=(
            "A network whose activation is piecewise linear with M breakpoints is a ReLU network of at most M + 1 "
            "units for each of its own; a ReLU network is, on a bounded domain, one of two such units for each."
        ),
        holds=wrong == 0 and all(each.fits for each in found.values()),
        measured=(
            f"{wrong} of {2 * _POINTS * len(found)} values differ on [-1, 1]^3. Units: {sizes}. The domain has to be "
            f"bounded: with {_FAR} in each input the ReLU network made of ReLU6 is {found['ReLU6'].off:.3g} off."
        ),
        key=f"{wrong} of {2 * _POINTS * len(found)} values differ",
        numbers={"different": wrong, **{f"{name}_off_at_{_FAR}": each.off for name, each in found.items()}},
    )


def corollary_a1(build: Build = PiecewiseLinear.built) -> Finding:
    """Functions with up to 31 breakpoints, on the whole line."""
    rng = random.Random(SEED + 1)
    functions = [_drawn(rng, breaks) for breaks in (1, 3, 7, 15, 31)]
    checked = {len(function.breaks): _on_the_line(function, rng, build) for function in functions}
    wrong = sum(different for different, _ in checked.values())
    return Finding(
        id="corollary-a1",
        place="Corollary A.1",
        claim="A piecewise-linear function with M breakpoints is a PolyReLU network of size O(M), on the whole line.",
        holds=wrong == 0 and all(size.neurons <= breaks + 1 for breaks, (_, size) in checked.items()),
        measured=(
            f"{wrong} of {(_POINTS + 2) * len(checked)} values differ, as far out as 10^6; neurons: "
            + ", ".join(f"{size.neurons} of M = {breaks}" for breaks, (_, size) in checked.items())
            + "."
        ),
        key=f"{wrong} of {(_POINTS + 2) * len(checked)} values differ",
        numbers={"different": wrong, **{f"neurons_of_{breaks}": size.neurons for breaks, (_, size) in checked.items()}},
    )


@dataclass(frozen=True)
class _BothWays:
    """A network of an activation made of ReLU, and a ReLU network made of the activation.

    Attributes:
        wrong: values that differ.
        fits: whether both are as small as Yarotsky (2017), Proposition 1, says.
        sizes: in words.
        off: by how much the second is off, far outside its domain.
    """

    wrong: int
    fits: bool
    sizes: str
    off: float


def _both_ways(rho: PiecewiseLinear, rng: random.Random, to_relu: Build, to_rho: Callable[..., Layers]) -> _BothWays:
    drawn, network = Layers.drawn(rng, inputs=3, width=4, depth=3), Network(3)
    there = drawn.built(network, lambda z: to_relu(rho, network, z))
    back = to_rho(drawn, rho, bound=Fraction(1))
    points = [rationals(rng, 3, largest=1) for _ in range(_POINTS)]
    wrong = sum(network.exact(there, p) != drawn.values(p, rho) for p in points)
    wrong += sum(back.values(p, rho) != drawn.values(p, RELU) for p in points)
    size = network.size(there)
    sizes = f"{drawn.units} as {size.neurons} of ReLU and back as {back.units}"
    far = [Fraction(_FAR)] * 3
    off = back.values(far, rho)[0] - drawn.values(far, RELU)[0]
    return _BothWays(wrong, _fits(drawn, size, back, len(rho.breaks)), sizes, float(abs(off)))


def _fits(drawn: Layers, there: Size, back: Layers, breaks: int) -> bool:
    weights = there.parameters - there.neurons  # a ReLU neuron has one coefficient
    there_fits = there.neurons <= (breaks + 1) * drawn.units and weights <= (breaks + 1) ** 2 * drawn.weights
    return there_fits and back.units <= 2 * drawn.units and back.weights <= 4 * drawn.weights


def _on_the_line(function: PiecewiseLinear, rng: random.Random, build: Build) -> tuple[int, Size]:
    network = Network(1)
    built = build(function, network, network.input(0))
    points = [*rationals(rng, _POINTS), Fraction(10**6), Fraction(-(10**6))]
    return sum(network.exact([built], [p])[0] != function(p) for p in points), network.size([built])


def _drawn(rng: random.Random, breaks: int) -> PiecewiseLinear:
    at = sorted(rng.sample(range(-90, 91), breaks))
    slopes = tuple(Fraction(rng.randint(-20, 20), 3) for _ in range(breaks + 1))
    return PiecewiseLinear(tuple(Fraction(b, 10) for b in at), slopes, Fraction(2, 3))
