"""Sizes and errors of Theorem 3's networks over the cells of their grids, and of the ReLU networks beside them."""

from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from repro.theory.algebra import Sawtooth
from repro.theory.ball import Member
from repro.theory.construction import POLYRELU, Kind, build, trapezoids
from repro.theory.networks import Size

SINES = ((4.0, 0.3), (2.5, 1.0))  # frequencies and phases; ours
POINTS = {1: 6000, 2: 64}  # along each input
SMOOTHNESS = (1, 2, 3)
HIGHEST = 26
AS_GOOD = 1.25  # how much larger the error of a ReLU network may be than that of the PolyReLU network beside it


@dataclass(frozen=True)
class Step:
    """The networks of one grid: one for each function, all of one size.

    Attributes:
        cells: N.
        dimensions: d.
        size: of a network.
        error: the largest, of all functions.
        bound: of the error, that the proof gives without the factor ``2^d`` of Eq. 29.
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
