"""The learned shape of an activation as a small grey picture."""

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from repro import activations
from repro.recipe.table import rows

POINTS = 256
INCHES, DOTS = (3.2, 2.4), 100  # an image of 320 x 240


def inputs() -> Tensor:
    """A row of :data:`POINTS` quantiles of the standard normal distribution, from -2.9 to 2.9.

    PolyNorm and others divide by norms of the whole row, so that a shape is drawn of a row, and this is the one.
    """
    share = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS
    return (2**0.5 * torch.erfinv(2 * share - 1)).float()


def outputs(word: str, learned: dict[str, Tensor]) -> NDArray[np.float32]:
    """The activation ``word`` at :func:`inputs` with the parameters ``learned``, ``(sets, POINTS)``.

    There is one set, or one an expert where these have their own. A gated activation lets through ones, so that what is
    seen is the gate's part.
    """
    activation = activations.build(word).eval()
    own = dict(activation.named_parameters())
    apart = {name: value if value.ndim > own[name].ndim else value[None] for name, value in learned.items()}
    drawn = []
    for number in range(max(map(len, apart.values()))):
        activation.load_state_dict({name: value[number] for name, value in apart.items()}, strict=False)
        drawn.append(_at(activation, inputs(), gated=rows()[word].gated))
    return torch.stack(drawn).numpy()


class Drawing:
    """Draws one layer after the other on the same axes, which takes a third of the time of new ones.

    Args:
        word: the activation, whose shape before training is dashed.
    """

    def __init__(self, word: str) -> None:
        figure = Figure(figsize=INCHES, dpi=DOTS)
        self.word, self.canvas, self.axes = word, FigureCanvasAgg(figure), figure.add_axes((0.1, 0.1, 0.87, 0.78))
        self.axes.locator_params(nbins=4)
        self.axes.tick_params(labelsize=7)
        self.axes.spines[["top", "right"]].set_visible(False)
        before = outputs(word, dict(activations.build(word).named_parameters()))
        self.axes.plot(inputs().numpy(), before.T, color="0.6", linestyle="--", linewidth=1.0)

    def draw(self, learned: dict[str, Tensor], title: str) -> NDArray[np.uint8]:
        """The shape that has been learned: ``(height, width)``, from black 0 to white 255."""
        lines = outputs(self.word, learned)
        solid = self.axes.plot(inputs().numpy(), lines.T, color="0", linewidth=1.4 if len(lines) == 1 else 0.6)
        self.axes.set_title(title, fontsize=8)
        self.axes.relim()
        self.axes.autoscale_view()
        self.canvas.draw()  # type: ignore[no-untyped-call]
        for line in solid:
            line.remove()
        return np.asarray(self.canvas.buffer_rgba())[..., 0].copy()  # type: ignore[no-untyped-call]


@torch.no_grad()
def _at(activation: nn.Module, x: Tensor, *, gated: bool) -> Tensor:
    y: Tensor = activation(x, torch.ones_like(x)) if gated else activation(x)
    return y.float()
