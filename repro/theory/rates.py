"""How errors and sizes of Theorem 3's networks go with the cells of their grids."""

import math
from dataclasses import dataclass

from repro.theory.construction import POLYRELU, Kind
from repro.theory.findings import Curve
from repro.theory.fitting import curve, slope
from repro.theory.measuring import Step, relu_step, step

CELLS = {1: (4, 8, 16, 32, 64, 128), 2: (4, 8, 16)}
RELU_CELLS = {1: (4, 8, 16), 2: (2, 3, 4)}
SLACK = {1: 0.05, 2: 0.15}  # of a slope over few sizes


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
    def holds(self) -> bool:
        """Errors within the proof's bound that fall as fast as theory says, or faster; sizes that grow no faster."""
        slack = SLACK[self.dimensions]
        return self.margin <= 1 and self.fall <= slack - self.smoothness and self.growth <= self.dimensions + slack

    def curve(self) -> Curve:
        """Error over parameters."""
        sizes = [each.size.parameters for each in self.fitted]
        expected = None if self.name == "ReLU" else -self.smoothness / self.dimensions
        name = f"{self.name}, n = {self.smoothness}"
        return curve(name, sizes, [each.error for each in self.fitted], expected=expected)


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

    def curve(self, expected: float) -> Curve:
        """The ratio over the logarithm."""
        name = f"n = {self.relu.smoothness}, d = {self.relu.dimensions}"
        return curve(name, self.logarithms, self.ratios, expected=expected)


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
