"""Effective ranks of a run's matrices (Figure 6), at each of its checkpoints."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repro import models
from repro.analysis import matrices, random_matrices
from repro.analysis.figures import ranks as figures
from repro.analysis.matrices import Ranks, Weight
from repro.analysis.spectrum import Spectrum, singular_values
from repro.errors import RunError
from repro.inspection.found import Drawn, Found, Row
from repro.inspection.sample import Sample
from repro.recipe import Recipe
from repro.recipe.images import ResNetRecipe
from repro.training import checkpoints
from repro.training.trained import Trained

NAME = "weights"
ABOUT = "effective ranks of the matrices by layer and over training, beside those of random matrices (Figure 6)"
LAYERS = (
    "The effective rank (Eq. 36) of each matrix, divided by that of a random matrix of its shape (the law of Marchenko "
    "and Pastur), which is 1, dotted. Below it, a few directions have more of the matrix than by chance; above it, "
    "directions are more alike than by chance, as in a matrix that begins orthogonal. Where a layer has experts, the "
    "line is their mean, and bars go from the lowest to the highest. "
)
TRAINING = (
    "As over layers, at every checkpoint that the run has kept: the line is the mean over layers, and grey goes from "
    "the lowest layer to the highest. The first checkpoint is not where training began: that is near 1, but for "
    "matrices that begin orthogonal or of low rank."
)
SPECTRA = (
    "Singular values of the first, the middle and the last layer, in order, each divided by the one that a random "
    "matrix of the same shape and the same root mean square would have in its place, which is 1, dotted. On the left "
    "are the strongest directions: how far they stand out is what lowers the effective rank. Of experts it is the mean."
)
Values = dict[tuple[str, int], NDArray[np.float64]]  # singular values (experts, n), by part and layer


def refusal(recipe: Recipe) -> str:
    """Empty: every network has matrices."""
    return ""


def work(of: Sequence[Trained], sample: Sample) -> int:
    """How many tensors are read."""
    return len(of) * len(_weights(of[-1].recipe))


def measure(of: Sequence[Trained], sample: Sample, told: Callable[[int], None]) -> Found:
    """Ranks at all checkpoints, and the singular values of the newest; one tensor at a time is in memory.

    Raises:
        RunError: a matrix is not finite, or a checkpoint cannot be read.
    """
    rows: list[Row] = []
    newest: Values = {}
    for trained in of:
        for weight in _weights(trained.recipe):
            for part, stacked in weight.matrices(_read(trained, weight, sample.device)).items():
                values = _values(trained, weight, part, stacked)
                rows += _rows(trained.step, weight, part, stacked, values)
                newest[part, weight.layer] = values.cpu().numpy()
            told(1)
    return Found(
        tables={"weights": rows},
        figures=_figures(of[-1], rows, newest),
        arrays={"singular_values": {f"{part}_{layer}": v.astype(np.float32) for (part, layer), v in newest.items()}},
        remarks=tuple(_remarks(of[-1], rows)),
    )


def _weights(recipe: Recipe) -> list[Weight]:
    with torch.device("meta"):
        return matrices.weights(models.from_recipe(recipe.model))


def _read(trained: Trained, weight: Weight, device: torch.device) -> list[Tensor]:
    of = trained.weights
    found = [torch.empty_like(of.outline[name], device="cpu") for name in weight.factors]
    names = (f"{of.network}.{name}" for name in weight.factors)
    checkpoints.fill(trained.checkpoint, dict(zip(names, found, strict=True)))
    return [tensor.to(device) for tensor in found]


def _values(trained: Trained, weight: Weight, part: str, stacked: Tensor) -> Tensor:
    try:
        return singular_values(stacked)
    except ValueError as error:
        which = weight.name if len(weight.parts) == 1 else f"{weight.name} ({part})"
        raise RunError(f"{trained.checkpoint}: {which} has no rank: {error}") from error


def _rows(step: int, weight: Weight, part: str, stacked: Tensor, values: Tensor) -> Iterator[Row]:
    """A row a matrix."""
    rows, columns = stacked.shape[-2:]
    random = random_matrices.effective_rank(rows, columns)
    for expert, own in enumerate(values):
        found = Spectrum.from_values(own)
        yield {
            "step": step,
            "layer": weight.layer,
            "name": weight.name,
            "part": part,
            "expert": expert if len(values) > 1 else None,
            "rows": rows,
            "columns": columns,
            "effective_rank": found.effective_rank,
            "random_effective_rank": random,
            "normalised_rank": found.effective_rank / random,
            "stable_rank": found.stable_rank,
            "participation_ratio": found.participation_ratio,
            "largest_singular_value": found.largest,
        }


def _figures(of: Trained, rows: Sequence[Row], newest: Values) -> dict[str, Drawn]:
    name, by_step = of.recipe.name, _by_step(rows)
    over_layers = figures.over_layers(by_step[of.step], f"{name}, step {of.step:,}")
    found = {"rank_over_layers": Drawn(over_layers, "Effective rank over layers", LAYERS + _about_shapes(rows))}
    if len(by_step) > 1:
        over_training = figures.over_training(by_step, name)
        found["rank_over_training"] = Drawn(over_training, "Effective rank over training", TRAINING)
    drawn = figures.spectra(_ratios(newest, rows), f"{name}, step {of.step:,}")
    return found | {"singular_values": Drawn(drawn, "Singular values", SPECTRA)}


def _by_step(rows: Sequence[Row]) -> dict[int, list[Ranks]]:
    ranks: dict[tuple[int, int, str], list[float]] = {}
    for row in rows:
        ranks.setdefault((row["step"], row["layer"], row["part"]), []).append(row["normalised_rank"])
    found: dict[int, list[Ranks]] = {}
    for (step, layer, part), own in ranks.items():
        found.setdefault(step, []).append(Ranks.of(layer, part, own))
    return found


def _ratios(newest: Values, rows: Sequence[Row]) -> dict[str, dict[int, NDArray[np.float64]]]:
    """Singular values over random ones, of the first, middle and last layer of each part: the mean over experts."""
    shapes = {(row["part"], row["layer"]): (row["rows"], row["columns"]) for row in rows}
    layers: dict[str, list[int]] = {}
    for part, layer in newest:
        layers.setdefault(part, []).append(layer)
    return {
        part: {layer: _ratio(newest[part, layer], *shapes[part, layer]) for layer in _some(own)}
        for part, own in layers.items()
    }


def _some(layers: Sequence[int]) -> list[int]:
    return sorted({layers[0], layers[len(layers) // 2], layers[-1]})


def _ratio(values: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    sizes = np.sqrt((values**2).mean(-1, keepdims=True))
    alike = values / np.where(sizes > 0, sizes, 1.0)
    found: NDArray[np.float64] = (alike / random_matrices.singular_values(rows, columns)).mean(0)
    return found


def _remarks(of: Trained, rows: Sequence[Row]) -> Iterator[str]:
    if of.weights.network == "averaged":
        yield "these are the averaged weights, which are evaluated"
    if isinstance(of.recipe, ResNetRecipe):
        yield (
            "a ResNet has no FFNs: its matrices are its convolutions, outputs x (inputs x kernel); layer 0 is the "
            "stem, and the blocks follow"
        )
    if len({row["step"] for row in rows}) == 1:
        yield "one checkpoint is looked at, so that nothing is drawn over training"
    for row in rows:
        if not row["largest_singular_value"]:
            expert = "" if row["expert"] is None else f", expert {row['expert']}"
            yield f"{row['name']} ({row['part']}{expert}) is all zeros at step {row['step']:,}: its ranks are 0"


def _about_shapes(rows: Sequence[Row]) -> str:
    """Why raw ranks are not drawn, by the numbers of the shapes that there are and of the paper's."""
    shapes = dict.fromkeys(tuple(sorted((row["rows"], row["columns"]))) for row in rows)
    examples = " or ".join(_share(*shape) for shape in [*shapes][:2])
    return (
        "Raw ranks, which are in the table, must not be compared across shapes: before anything is learned, the "
        f"effective rank of a random matrix is {examples} of its smaller side. In the paper's dense model it is "
        f"{_share(2048, 5504)} for SwiGLU and {_share(2048, 8256)} for the others."
    )


def _share(rows: int, columns: int) -> str:
    return f"{random_matrices.effective_rank(rows, columns) / min(rows, columns):.1%} ({rows} x {columns})"
