"""A forecast of training speed, until it is measured."""

from dataclasses import dataclass

from repro.recipe.communication import FORWARD, Communication, communication
from repro.recipe.layout import Fit
from repro.recipe.schema import Machine, Recipe, TextModel

# Narrow matrices do not fill a GPU: half of what a wide model reaches is reached at this d_model. Ours, drawn through
# public records on an H100: 27 % at 768 (modded-nanogpt, 124M), about 40 % at 2048 (nanotron, Llama 1B).
HALF_WIDTH = 830
# Of expected_mfu, for convolutions. Ours: 2,500 images of ResNet-50 a second on an A100 (timm's records) are 20 % of
# its peak, and an H100 is not fed faster in proportion.
CONVOLUTIONS = 0.3
EXPECTED_AT = 2048  # d_model of the models that a machine's expected_mfu speaks of


@dataclass(frozen=True)
class Forecast:
    """Of a step: its seconds, the share of the peak that they come to, and what devices tell each other meanwhile."""

    seconds: float
    mfu: float
    communication: Communication | None


def forecast(recipe: Recipe, machine: Machine, layout: Fit, flops: float) -> Forecast:
    """Of a step of ``flops`` on all devices: computation at :func:`mfu`, and what it has to wait for."""
    peak = machine.peak_tflops * 1e12 * machine.world_size
    computation = (1 + FORWARD if layout.recompute else 1) * flops / (mfu(recipe, machine) * peak)
    talk = communication(recipe, machine, layout, computation)
    seconds = computation + (talk.exposed_seconds if talk else 0.0)
    return Forecast(seconds, flops / seconds / peak, talk)


def mfu(recipe: Recipe, machine: Machine) -> float:
    """The share of the machine's peak that a recipe is expected to reach while it computes: ``expected_mfu`` for a 1B
    model, on a GPU less for narrower ones, as ``d_model / (d_model + HALF_WIDTH)``.
    """
    if machine.accelerator == "cpu":
        return machine.expected_mfu
    if not isinstance(recipe.model, TextModel):
        return CONVOLUTIONS * machine.expected_mfu
    return min(1.0, machine.expected_mfu * _filled(recipe.model.d_model) / _filled(EXPECTED_AT))


def _filled(d_model: int) -> float:
    return d_model / (d_model + HALF_WIDTH)
