"""How many neurons of an FFN a token could do without, what that costs in loss, and what of it a machine saves."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from statistics import fmean

import torch
from torch import nn

from repro.analysis.figures import sparsity as figures
from repro.analysis.sites import sites
from repro.analysis.sparsity.cost import WAYS, Shape
from repro.analysis.sparsity.effects import LEVEL, Effect
from repro.analysis.sparsity.gathering import ROUNDS, timed
from repro.analysis.sparsity.inputs import Kept, feeding
from repro.analysis.sparsity.neurons import Layer
from repro.analysis.sparsity.predictor import BATCH, STEPS
from repro.analysis.sparsity.shares import SCANNED
from repro.analysis.sparsity.skipping import Counted, predicted, shorter, skipping
from repro.analysis.sparsity.study import SHARES, USUAL, Study, turns
from repro.errors import DataError, RunError
from repro.inspection import sparsity_sizes
from repro.inspection.found import Drawn, Found, Row
from repro.inspection.sample import Sample
from repro.inspection.sparsity_rows import Look, Pass, tables
from repro.recipe import Recipe
from repro.recipe.families import MoERecipe
from repro.recipe.schema import DecoderRecipe
from repro.training.trained import Trained

NAME = "sparsity"
ABOUT = "How many neurons of an FFN a token could do without, what that costs in loss, and what of it a machine saves"

KEPT = 4096  # tokens of each half of the sample whose FFN inputs are held
FEW = 30  # windows under which an interval is rough
TIMED = 6  # layers at most, evenly spread
Told = Callable[[int], None]


def refusal(recipe: Recipe) -> str:
    """Why there are no neurons to leave out."""
    if isinstance(recipe, DecoderRecipe):
        return ""
    return "it looks at the neurons between the matrices of an FFN, which only decoders have"


def work(of: Sequence[Trained], sample: Sample) -> int:
    """Layers, and passes over half the sample."""
    recipe = of[-1].recipe
    assert isinstance(recipe, DecoderRecipe)
    return 2 + recipe.model.n_layers + len(SHARES) + 1 + (not isinstance(recipe, MoERecipe))


def measure(of: Sequence[Trained], sample: Sample, told: Told) -> Found:
    """Look at the newest checkpoint: thresholds and predictors on half the windows, all else on the other half.

    Raises:
        DataError: the sample is a single window.
        RunError: losses are not finite.
    """
    newest, (fitted, others) = of[-1], _halves(sample)
    network = newest.network(sample.device)
    with torch.no_grad():
        look = _look(newest, network, fitted, others, told)
        passes = [_nobody(look, others), *_passes(network, look, others, told)]
    found = tables(newest.step, look, passes)
    drawn = _figures(newest.recipe.name, look, passes, others)
    if machine := found.get("sparsity_machine"):
        drawn["sparsity_machine"] = _saved(newest.recipe.name, machine, look, others)
    if sizes := sparsity_sizes.table(sparsity_sizes.ladder(newest, found["sparsity"])):
        found["sparsity_sizes"], drawn["sparsity_sizes"] = sizes, sparsity_sizes.drawn(sizes)
    return Found(tables=found, figures=drawn, remarks=tuple(_remarks(look, fitted, others)))


def _halves(sample: Sample) -> tuple[Sample, Sample]:
    if sample.windows < 2:
        raise DataError(
            f"{sample.what} are one window, of which no half can be set apart for thresholds; "
            f"expected tokens={2 * sample.context} or more"
        )
    odd, even = (replace(sample, inputs=sample.inputs[i::2], targets=sample.targets[i::2]) for i in (1, 0))
    return odd, even


def _look(newest: Trained, network: nn.Module, fitted: Sample, others: Sample, told: Told) -> Look:
    given, dense = [Kept(KEPT), Kept(KEPT)], torch.empty(0)
    for half, own in zip((fitted, others), given, strict=True):
        with feeding(network, own.see):
            dense = half.losses(network)
        if not dense.isfinite().all():
            raise RunError(f"{newest.checkpoint}: losses are not finite, so no neuron can be missed")
        told(1)
    every = sites(network)
    studies, to_time = {}, {}
    for site in every:
        layer, one, other = Layer(site), *(own.taken(site) for own in given)
        studies[site] = Study.of(layer, one, other, context=others.context)
        if site in every[:: -(-len(every) // TIMED)] and not studies[site].shape.inner:
            to_time[site] = turns(layer, studies[site], other)
        told(1)
    times = timed(list(to_time.values()), others.device) if to_time else []
    return Look(studies, dense, dict(zip(to_time, times, strict=True)))


def _nobody(look: Look, others: Sample) -> Pass:
    effect = Effect.of(look.dense, look.dense, context=others.context, sparsity=0.0)
    return Pass("nobody", None, effect, {site.name: 0.0 for site in look.studies})


def _passes(network: nn.Module, look: Look, others: Sample, told: Told) -> Iterator[Pass]:
    def one(by: str, asked: float | None, leaving_out: AbstractContextManager[Counted]) -> Pass:
        with leaving_out as counted:
            losses = others.losses(network)
        told(1)
        effect = Effect.of(losses, look.dense, context=others.context, sparsity=counted.sparsity)
        return Pass(by, asked, effect, counted.shares)

    for share in SHARES:
        lengths = {site.name: study.shares.quantiles[share] for site, study in look.studies.items()}
        yield one("length", share, skipping(network, shorter(lengths)))
    lengths = {site.name: study.threshold for site, study in look.studies.items()}
    yield one("CETT", USUAL, skipping(network, shorter(lengths)))
    predictors = {site.name: study.guesses.predictor for site, study in look.studies.items() if study.guesses}
    if predictors:
        yield one("predictor", None, predicted(network, predictors))


def _figures(of: str, look: Look, passes: Sequence[Pass], others: Sample) -> dict[str, Drawn]:
    studies, by = list(look.studies.values()), {each.by: each.effect for each in passes}
    marked = {f"a CETT of {USUAL} in each layer": by["CETT"]}
    if "predictor" in by:
        marked["a predictor's choice of as many"] = by["predictor"]
    inactive = [study.shares.by_tau[USUAL].sparsity for study in studies]
    return {
        "sparsity_loss": Drawn(
            figures.losses([each.effect for each in passes if each.by == "length"], marked, f"{of}: neurons left out"),
            "Loss with neurons left out",
            "Of each token the neurons are left out whose output, the value times the column of the down projection, "
            f"is shortest: by one threshold a layer. On {others.size:,} tokens; bars are {LEVEL:.0%} intervals over "
            f"their windows. The axis is linear within {figures.LINEAR} nats of 0, logarithmic beyond. A network that "
            "was trained, or trained further, with neurons left out could do better.",
        ),
        "sparsity_layers": Drawn(
            figures.by_layer(inactive, [study.shares.zeros for study in studies], f"{of}: inactive at CETT {USUAL}"),
            "Inactive neurons by layer",
            "Inactive are neurons with an output below the largest threshold at which all of them together would have "
            f"added {USUAL} of the length of what all neurons add, the mean over tokens. What the activation gives at "
            "0 is taken off each first, as a bias of the layer, and is in neither length. It does not show what "
            "leaving them out costs.",
        ),
    }


def _saved(of: str, machine: Sequence[Row], look: Look, others: Sample) -> Drawn:
    shape = next(iter(look.studies.values())).shape
    return Drawn(
        figures.machine(_of_dense(machine), f"{of}: one token through an FFN"),
        "What a machine saves",
        f"Means over layers at CETT {USUAL}; times are medians of {ROUNDS} tokens, one at a time, with PyTorch's "
        f"operators on {_device(others)}. {_ways(shape)} Small FFNs cannot gain: to start an operator takes longer "
        "than to read their weights. Another machine, or operators made for it, would have other times; weights "
        "read are counted.",
    )


def _of_dense(machine: Sequence[Row]) -> dict[str, tuple[float, float | None]]:
    """Weights and time of each way over those of the dense FFN, the means over layers."""
    found: dict[str, tuple[float, float | None]] = {}
    for way in WAYS:
        if rows := [row for row in machine if row["way"] == way]:
            times = [row["of_dense_us"] for row in rows if row["of_dense_us"] is not None]
            found[way] = (fmean(row["of_dense_bytes"] for row in rows), fmean(times) if times else None)
    return found


def _ways(shape: Shape) -> str:
    first = "the gates, which tell roughly" if shape.gated else "all pre-activations, which tell exactly"
    always = " The activation's norm needs that first product in every way." if shape.mixes else ""
    return (
        "Known: as if somebody had told which neurons are active, their weights alone are read. Computed: first come "
        f"{first}. Predicted: a small network tells.{always}"
    )


def _device(sample: Sample) -> str:
    return torch.cuda.get_device_name(sample.device) if sample.device.type == "cuda" else "this processor"


def _remarks(look: Look, fitted: Sample, others: Sample) -> Iterator[str]:
    study = next(iter(look.studies.values()))
    scanned = min(SCANNED, KEPT, fitted.size)
    yield (
        f"thresholds are exact on about {scanned:,} tokens of {fitted.windows:,} windows: every length that occurs was "
        f"tried; cett_elsewhere is what they give on as many of {others.windows:,} other windows"
    )
    if others.windows < 2:
        yield "one window has no interval: take a larger sample, tokens=N"
    elif others.windows < FEW:
        yield f"intervals are over {others.windows} windows; under {FEW} they are rough: take a larger sample, tokens=N"
    yield from _of_activation(list(look.studies.values()), study.shape)
    if study.shape.inner:
        yield (
            f"each matrix is the product of two factors of rank {study.shape.inner}, of which one has no neuron's "
            "weights and is always read: what a machine would save is not worked out"
        )
    if study.guesses:
        yield (
            f"predictors are {study.shape.rank} wide and were trained for {STEPS} steps of {BATCH} tokens, of "
            f"{min(KEPT, fitted.size):,}: longer training or more text may make them better"
        )
    if study.shape.experts > 1 or len(study.shares.rows) > 1:
        yield (
            "of experts, neurons are those of the experts that a token is sent to, under one threshold a layer; an "
            "expert is measured against its own output, before the router's weight; times are of one expert; "
            "there are no predictors, for which an expert sees too few tokens"
        )


def _of_activation(studies: Sequence[Study], shape: Shape) -> Iterator[str]:
    if shape.constant:
        what = "a map of the stream, d_model x d_model" if shape.gated else "a bias"
        constants = [value for study in studies for value in study.constant]
        yield (
            f"the activation gives {min(constants):.3g} to {max(constants):.3g} at 0: taken off every neuron and added "
            f"as {what}, which is exact but for rounding: exact zeros are those of {8 * shape.bytes_each}-bit numbers"
        )
    if shape.mixes:
        yield (
            "the activation's norm needs every pre-activation: columns of the down projection can be left unread, "
            "rows of the first matrix cannot"
        )
