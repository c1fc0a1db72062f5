"""What the activations of a run have learned, at each of its checkpoints: tensors of a few numbers, read alone."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from repro import models
from repro.analysis.figures.ranks import over_layers, over_training
from repro.analysis.inputs import places
from repro.analysis.matrices import Ranks
from repro.inspection.found import Drawn, Row
from repro.models.parameters import kinds
from repro.training import checkpoints
from repro.training.trained import Trained

POWERS = "coeff"  # whose last dimension is the power, and whose first one the expert if there are two
LABEL = "value"
LAYERS = (
    "What the activation of each layer has learned: a_i multiplies the i-th power, or its norm; others have the "
    "parameter's name. Where a layer has several activations, as of experts or of a block, the line is their mean, and "
    "bars go from the lowest to the highest. A coefficient alone does not say how much its term adds: that is also a "
    "matter of the inputs."
)
TRAINING = (
    "The same at every checkpoint that was looked at: the line is the mean over layers, and grey goes from the lowest "
    "layer to the highest."
)


def coefficients(of: Sequence[Trained]) -> list[Row]:
    """A row a number, by checkpoint and layer; none where the activation learns nothing.

    Raises:
        RunError: a checkpoint cannot be read.
    """
    with torch.device("meta"):
        network = models.from_recipe(of[-1].recipe.model)
    found = learned(network)
    return [row for trained in of if found for row in _rows(trained, places(network), _read(trained, found))]


def figures(of: Trained, rows: Sequence[Row]) -> dict[str, Drawn]:
    """Over layers, and over training if there is more than one checkpoint; nothing of no rows."""
    name, by_step = of.recipe.name, _by_step(rows)
    if not by_step:
        return {}
    drawn = over_layers(by_step[of.step], f"{name}, step {of.step:,}", label=LABEL, dotted=0.0)
    found = {"coefficients": Drawn(drawn, "Coefficients over layers", LAYERS)}
    if len(by_step) > 1:
        drawn = over_training(by_step, name, label=LABEL, dotted=0.0)
        found["coefficients_over_training"] = Drawn(drawn, "Coefficients over training", TRAINING)
    return found


def learned(network: nn.Module) -> dict[str, tuple[str, str]]:
    """Of each parameter of an activation, by its name: the activation, as its calls are named, and what is its own."""
    owners = places(network)
    return {
        name: (owner, name.removeprefix(f"{owner}.").removeprefix("act_fn."))
        for name, kind in kinds(network).items()
        if kind == "coefficients"
        for owner in owners
        if name.startswith(f"{owner}.")
    }


def _read(trained: Trained, found: dict[str, tuple[str, str]]) -> dict[tuple[str, str], Tensor]:
    of = trained.weights
    tensors = {name: torch.empty_like(of.outline[name], device="cpu") for name in found}
    checkpoints.fill(trained.checkpoint, {f"{of.network}.{name}": tensor for name, tensor in tensors.items()})
    return {found[name]: tensor for name, tensor in tensors.items()}


def _rows(trained: Trained, numbers: dict[str, int], tensors: dict[tuple[str, str], Tensor]) -> Iterator[Row]:
    for (name, parameter), tensor in tensors.items():
        powers = parameter == POWERS
        for expert, own in enumerate(tensor.double().reshape(-1, tensor.shape[-1]).tolist()):
            for power, value in enumerate(own):
                yield {
                    "step": trained.step,
                    "layer": numbers[name],
                    "name": name,
                    "expert": expert if tensor.ndim > 1 else None,
                    "parameter": parameter,
                    "power": power if powers else None,
                    "value": value,
                }


def _by_step(rows: Sequence[Row]) -> dict[int, list[Ranks]]:
    values: dict[tuple[int, int, str], list[float]] = {}
    for row in rows:
        part = row["parameter"] if row["power"] is None else f"a_{row['power']}"
        values.setdefault((row["step"], row["layer"], part), []).append(row["value"])
    found: dict[int, list[Ranks]] = {}
    for (step, layer, part), own in values.items():
        found.setdefault(step, []).append(Ranks.of(layer, part, own))
    return found
