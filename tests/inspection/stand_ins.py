"""Measures that find what a test wants, in the place of those that take a while."""

from dataclasses import dataclass

import numpy as np

from repro.analysis.figures.style import figure
from repro.inspection.found import Drawn, Found


@dataclass
class StandIn:
    """A measure; ``raises`` is what comes of it instead."""

    NAME: str
    refused: str = ""
    raises: BaseException | None = None
    rows: int = 2
    mark: float = 0.5

    ABOUT = "what a test plants"

    def __post_init__(self):
        self.calls = []

    def refusal(self, recipe):
        return self.refused

    def work(self, of, sample):
        return 2 * len(of)

    def measure(self, of, sample, told, **more):
        self.calls.append((of, sample, more))
        if self.raises:
            raise self.raises
        for _ in of:
            told(2)
        return Found(
            tables={self.NAME: [self._row(one.step, layer) for one in of for layer in range(self.rows)]},
            figures={f"{self.NAME}-drawn": Drawn(self._drawn(), "A drawing", "Grey, in metres | of *nothing*.")},
            arrays={f"{self.NAME}-all": {"matrix": np.full((2, 3), self.mark)}},
            remarks=(f"of {sample.what}",),
        )

    def _row(self, step, layer):
        return {"step": step, "layer": layer, "name": f"layers.{layer}", "share": self.mark, "none": float("nan")}

    def _drawn(self):
        drawn, (axes,) = figure(1.5, 1.0)  # small, since there are many
        axes.plot([0, 1], [0, self.mark])
        return drawn
