"""Sizes and errors of Theorem 3's networks over the cells of their grids, and of the ReLU networks beside them."""

import math
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from repro.theory.algebra import Sawtooth
from repro.theory.ball import Member
from repro.theory.construction import POLYRELU, Kind, build, trapezoids
from repro.theory.findings import Curve
from repro.theory.fitting import curve, slope
from repro.theory.networks import Size

SINES = ((4.0, 0.3), (2.5, 1.0))  # frequencies and phases; ours
POINTS = {1: 6000, 2: 64}  # along each input
SMOOTHNESS = (1, 2, 3)
HIGHEST = 26
AS_GOOD = 1.25  # how much larger the error of a ReLU network may be than that of the PolyReLU network beside it
CELLS = {1: (4, 8, 16, 32, 64, 128), 2: (4, 8, 16)}
RELU_CELLS = {1: (4, 8, 16), 2: (2, 3, 4)}
SLACK = {1: 0.05, 2: 0.15}  # of a slope over few sizes


@dataclass(frozen=True)
class Step:
    """The networks of one grid: one for each function, all of one size.

    Attributes:
        cells: N.
        dimensions: d.
        size: of a network.
        error: the largest, of all functions.
        bound: of the error, by the proof without the factor ``2^d`` of Eq. 29, of the partition that was built with:
            wider functions of a partition, as splines are, have a larger one than the paper's.
        height: of ReLU's towers.
    """

    cells: int
    dimensions: int
    size: Size
    error: float
    bound: float
    height: int = 0

    @property
    def per_point(self) -> float:
        """Parameters for each point of the grid."""
        return float(self.size.parameters / (2 * self.cells + 1) ** self.dimensions)


def members(smoothness: int, dimensions: int) -> list[Member]:
    """The functions of the ball that networks are built for."""
    return [Member.sine(smoothness, dimensions, frequency=w, phase=p) for w, p in SINES]


@cache
def sample(dimensions: int) -> NDArray[np.float64]:
    """Points ``(n, d)`` of ``[-1, 1]^d``, drawn from each of equal cubes: a regular grid meets the network's own."""
    many = POINTS[dimensions]
    corners = np.stack(np.meshgrid(*[np.arange(many)] * dimensions), -1).reshape(-1, dimensions)
    inside = np.random.default_rng(dimensions).uniform(size=corners.shape)
    points: NDArray[np.float64] = 2 * (corners + inside) / many - 1
    return points


@cache
def step(kind: Kind, smoothness: int, dimensions: int, cells: int) -> Step:
    """The networks of one kind, and their errors at the sample's points."""
    points = sample(dimensions)
    built = {member: build(kind, member, cells) for member in members(smoothness, dimensions)}
    error = max(float(np.abs(network(points) - member(points)).max()) for member, network in built.items())
    largest = max((network.size for network in built.values()), key=lambda size: size.parameters)
    return Step(cells, dimensions, largest, error, kind.remainder(smoothness, dimensions, cells))


@cache
def relu_step(smoothness: int, dimensions: int, cells: int) -> Step:
    """The ReLU networks of the lowest towers with which they are about as good as the PolyReLU ones beside them."""
    enough = AS_GOOD * step(POLYRELU, smoothness, dimensions, cells).error
    for height in range(HIGHEST):
        found = step(relu(height), smoothness, dimensions, cells)
        if found.error <= enough:
            return replace(found, height=height)
    raise AssertionError(f"towers of {HIGHEST} have errors of 4^-{HIGHEST}, below those of float64")


@cache
def relu(height: int) -> Kind:
    """The construction with ReLU neurons only, whose products err."""
    return Kind("ReLU", partial(Sawtooth, height=height), trapezoids, POLYRELU.reach)


@dataclass(frozen=True)
class Rate:
    """For one smoothness.

    Attributes:
        name: of the neurons.
        smoothness: n.
        steps: by cells, ascending.
    """

    name: str
    smoothness: int
    steps: tuple[Step, ...]

    @property
    def dimensions(self) -> int:
        """Of the inputs, d."""
        return self.steps[0].dimensions

    @property
    def fitted(self) -> tuple[Step, ...]:
        """Without the coarsest grid, on which a wave has few points."""
        return self.steps[1:] if len(self.steps) > 3 else self.steps

    @property
    def fall(self) -> float:
        """The slope of the error over N; theory says ``-n``."""
        return slope([each.cells for each in self.fitted], [each.error for each in self.fitted])

    @property
    def growth(self) -> float:
        """The slope of the size over ``2 N + 1``; theory says ``d``."""
        return slope([2 * each.cells + 1 for each in self.fitted], [each.size.parameters for each in self.fitted])

    @property
    def margin(self) -> float:
        """The largest share of the proof's bound that an error comes to."""
        return max(each.error / each.bound for each in self.steps)

    @property
    def share(self) -> float:
        """The largest share of Eq. 29's bound that an error comes to: of the paper's partition, with its ``2^d``."""
        n, d = self.smoothness, self.dimensions
        return max(each.error / (2.0**d * POLYRELU.remainder(n, d, each.cells)) for each in self.steps)

    @property
    def holds(self) -> bool:
        """Errors within the proof's bound that fall as fast as theory says, or faster; sizes that grow no faster."""
        slack = SLACK[self.dimensions]
        return self.margin <= 1 and self.fall <= slack - self.smoothness and self.growth <= self.dimensions + slack

    def curve(self) -> Curve:
        """Error over parameters."""
        sizes = [each.size.parameters for each in self.fitted]
        paper = None if self.name == "ReLU" else -self.smoothness / self.dimensions
        name = f"{self.name}, n = {self.smoothness}"
        return curve(name, sizes, [each.error for each in self.fitted], paper=paper)


@dataclass(frozen=True)
class Ratio:
    """How much larger the ReLU networks are than the PolyReLU networks of the same error.

    Attributes:
        relu: of the ReLU networks.
        ratios: of parameters.
        logarithms: ``ln(1 / e)``, of the error of the PolyReLU networks.
    """

    relu: Rate
    ratios: tuple[float, ...]
    logarithms: tuple[float, ...]

    @property
    def spread(self) -> float:
        """The largest ratio over the smallest; 1 where no logarithm is paid."""
        return max(self.ratios) / min(self.ratios)

    @property
    def constants(self) -> tuple[float, ...]:
        """What the ratio is of the logarithm; one number where exactly one logarithm is paid."""
        return tuple(ratio / log for ratio, log in zip(self.ratios, self.logarithms, strict=True))

    def curve(self, paper: float, ours: float | None) -> Curve:
        """The ratio over the logarithm."""
        name = f"n = {self.relu.smoothness}, d = {self.relu.dimensions}"
        return curve(name, self.logarithms, self.ratios, paper=paper, ours=ours)


def rate(kind: Kind, smoothness: int, dimensions: int) -> Rate:
    """Over the grids of that many dimensions."""
    return Rate(kind.name, smoothness, tuple(step(kind, smoothness, dimensions, N) for N in CELLS[dimensions]))


def ratio(smoothness: int, dimensions: int) -> Ratio:
    """Of ReLU networks to the PolyReLU networks beside them, over the coarser grids."""
    relu = tuple(relu_step(smoothness, dimensions, N) for N in RELU_CELLS[dimensions])
    beside = [step(POLYRELU, smoothness, dimensions, each.cells) for each in relu]
    return Ratio(
        Rate("ReLU", smoothness, relu),
        tuple(a.size.parameters / b.size.parameters for a, b in zip(relu, beside, strict=True)),
        tuple(-math.log(each.error) for each in beside),
    )
