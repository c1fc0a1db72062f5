"""What goes into each activation and what comes out: its learned shape on its inputs, sizes, dead neurons, overflow."""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repro.analysis.figures.inputs import PANELS, Panel, by_layer, histograms
from repro.analysis.inputs import (
    DEAD,
    Call,
    Neurons,
    Row,
    constant,
    places,
    rows,
    watching_calls,
    watching_outputs,
    without_constant,
)
from repro.analysis.overflow import Counter
from repro.analysis.values import Histogram, Moments
from repro.errors import RunError
from repro.evaluation.bootstrap import FEW
from repro.inspection import coefficients, found
from repro.inspection.found import Drawn, Found
from repro.inspection.sample import Sample
from repro.recipe import Recipe
from repro.training.trained import Trained

NAME = "activations"
ABOUT = "What goes into each activation and what comes out: shapes on inputs, gain, outliers, dead neurons, overflow"

SIGMAS = 6  # beyond which a number counts as an outlier


def refusal(recipe: Recipe) -> str:
    """Nothing: every family has activations."""
    return ""


def work(of: Sequence[Trained], sample: Sample) -> int:
    """Tokens or images."""
    return sample.size


def measure(of: Sequence[Trained], sample: Sample, told: Callable[[int], None]) -> Found:
    """Look at the activations of the newest checkpoint, and at what they have learned at all of them.

    Raises:
        RunError: numbers of a layer are not finite, or a checkpoint cannot be read.
    """
    newest = of[-1]
    network = newest.network(sample.device)
    seen: dict[str, Layer] = {}

    def see(call: Call) -> None:
        if call.name not in seen:
            seen[call.name] = Layer(call)
        seen[call.name].add(call)

    def see_output(name: str, y: Tensor) -> None:
        seen[name].output.add(y)

    with ExitStack() as watched:
        watched.enter_context(watching_calls(network, see))
        watched.enter_context(watching_outputs(network, see_output))
        handle = network.register_forward_hook(lambda module, given, result: told(_targets(given[0], sample)))
        watched.callback(handle.remove)
        sample.losses(network)
    for layer in seen.values():
        layer.refuse_not_finite(newest)
    numbers = places(network)
    return _found(of, [seen[name] for name in numbers], numbers, sample)


class Numbers:
    """Moments and a histogram of one kind of number."""

    def __init__(self, device: torch.device) -> None:
        self.moments, self.histogram = Moments.none(device), Histogram()
        self.largest = 0.0

    def add(self, x: Tensor) -> None:
        """Add numbers of any shape."""
        self.moments = self.moments.and_of(x)
        self.histogram.add(x)
        self.largest = max(self.largest, float(x.nan_to_num(0, 0, 0).abs().max()))

    def row(self, word: str) -> found.Row:
        """The columns of a table, each beginning with ``word``."""
        moments, reach = self.moments, SIGMAS * self.moments.deviation
        beyond = self.histogram.beyond(moments.mean - reach, moments.mean + reach)
        columns = {
            "rms": moments.rms,
            "mean": moments.mean,
            "kurtosis": moments.kurtosis,
            "max_over_rms": self.largest / moments.rms if moments.rms else math.nan,
            f"beyond_{SIGMAS}_sigma": beyond,
        }
        return {f"{word}_{name}": value if math.isfinite(value) else None for name, value in columns.items()}


@dataclass
class Layer:
    """What is added up of one activation, from the first of its calls on."""

    first: Call
    neurons: Neurons = field(default_factory=Neurons)
    kept: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        device = self.first.inputs.device
        self.inputs, self.hidden, self.output = Numbers(device), Numbers(device), Numbers(device)
        self.moving = Moments.none(device)  # what comes out less the constant term, against which a neuron is dead
        self.lost = Counter(self.first.activation)
        self.name, self.term = self.first.name, constant(self.first).mean().item()
        self.gated, self.units = self.first.up is not None, self.first.hidden.shape[-1] * self.first.experts
        del self.first

    def add(self, call: Call) -> None:
        """Add a call."""
        self.inputs.add(call.inputs)
        self.hidden.add(call.hidden)
        self.moving = self.moving.and_of(without_constant(call))
        self.neurons.add(call)
        self.lost.add(call.inputs)
        self.kept += rows(call)

    def refuse_not_finite(self, of: Trained) -> None:
        """Raise a RunError if there are numbers that are infinite or nan: sums of them say nothing."""
        moments = {"goes into": self.inputs.moments, "comes out of": self.hidden.moments}
        for word, own in moments.items():
            if own.not_finite:
                raise RunError(f"{of.checkpoint}: {own.not_finite:,} numbers of what {word} {self.name} are not finite")

    def row(self, step: int, layer: int) -> found.Row:
        """A row of the table."""
        gain = self.hidden.moments.rms / self.inputs.moments.rms if self.inputs.moments.rms else None
        return {
            "step": step,
            "layer": layer,
            "name": self.name,
            "gain": gain,
            "constant_term": self.term,
            "neurons": self.units,
            "neurons_seen": self.neurons.seen,
            "dead_share": self.neurons.dead(DEAD * self.moving.rms),
            "never_moved_share": self.neurons.dead(0.0),
            "exact_zeros_share": self.neurons.exact_zeros,
            **self.inputs.row("input"),
            **self.hidden.row("hidden"),
            **(self.output.row("output") if self.output.largest else {f"output_{word}": None for word in _WORDS}),
        }


_WORDS = ("rms", "mean", "kurtosis", "max_over_rms", f"beyond_{SIGMAS}_sigma")


def _targets(given: Tensor, sample: Sample) -> int:
    return len(given) * sample.context


def _found(of: Sequence[Trained], layers: list[Layer], numbers: dict[str, int], sample: Sample) -> Found:
    newest = of[-1]
    activations = [layer.row(newest.step, numbers[layer.name]) for layer in layers]
    learned = coefficients.coefficients(of)
    overflow = [
        {
            "step": newest.step,
            "layer": numbers[layer.name],
            "name": layer.name,
            "what": lost.what,
            "power": lost.power,
            "format": lost.format,
            "numbers": lost.numbers,
            "overflow": lost.overflow,
            "underflow": lost.underflow,
            "overflow_share": lost.overflow / max(1, lost.numbers),
            "underflow_share": lost.underflow / max(1, lost.numbers),
        }
        for layer in layers
        for lost in layer.lost.lost
    ]
    arrays = {"inputs": {key: value for layer in layers for key, value in _kept(layer).items()}}
    tables = {"activations": activations, "overflow": overflow} | ({"coefficients": learned} if learned else {})
    word = newest.recipe.model.activation
    figures = _figures(layers, activations, sample.what, word) | coefficients.figures(newest, learned)
    return Found(tables, figures, arrays, _remarks(layers, activations, overflow, word, sample))


def _kept(layer: Layer) -> dict[str, NDArray[Any]]:
    """The part of the histogram that is not empty, and the rows that the activation is drawn on."""
    histogram, filled = layer.inputs.histogram, np.flatnonzero(layer.inputs.histogram.counts)
    low, high = (filled[0], filled[-1] + 1) if len(filled) else (0, 0)
    return {
        f"{layer.name}.counts": histogram.counts[low:high],
        f"{layer.name}.edges": histogram.edges[low : high + 1],
    }


def _figures(layers: list[Layer], rows: list[found.Row], what: str, word: str) -> dict[str, Drawn]:
    gated = layers[0].gated
    panels = [Panel(layer.name, layer.inputs.histogram, layer.kept) for layer in layers]
    some = f" {PANELS} of {len(panels)} layers, evenly spaced." if len(panels) > PANELS else ""
    part = "the gate's part, that is the activation where what is let through is 1" if gated else "the activation"
    return {
        "inputs": Drawn(
            histograms(panels, gated=gated),
            f"{word} on its inputs",
            f"Grey: how the inputs{' of the gate' if gated else ''} are distributed, 99.95 % of them, each panel in "
            f"its own scale; {what}. Lines: {part}, each on the numbers that one row (a token, pixel or image) holds. "
            "An activation of single numbers is one line; one that divides by norms of its row, as PolyNorm, is "
            "another function on each, and lines side by side show how much. Outside the grey the shape does nothing."
            + some,
        ),
        "sizes": Drawn(
            by_layer(_sizes(rows), len(rows), label=_across(rows)),
            "Sizes, outliers and dead neurons by layer",
            f"Of {what}. Gain: root mean square of what comes out over that of what goes in. Kurtosis: 3 of normal "
            "numbers, more with heavier tails. Largest over rms: the largest size over the root mean square. Dead: "
            f"neurons never further from the constant term than {DEAD:g} of the layer's root mean square; exact zeros: "
            "numbers that are the constant term, to rounding. More tokens find fewer dead neurons.",
        ),
    }


def _across(rows: list[found.Row]) -> str:
    """What stands from left to right: a layer may have several activations, as a block of a ResNet."""
    several = len({row["layer"] for row in rows}) < len(rows)
    return "activation, from 0 in the table's order" if several else "layer, from 0"


def _sizes(rows: list[found.Row]) -> dict[str, dict[str, Sequence[float]]]:
    def column(name: str) -> list[float]:
        return [math.nan if row[name] is None else row[name] for row in rows]

    kinds = {"input": "inputs", "hidden": "hidden", "output": "output of the FFN"}
    there = {kind: name for kind, name in kinds.items() if any(row[f"{kind}_rms"] is not None for row in rows)}
    return {
        "gain: rms out over rms in": {"gain": column("gain")},
        "kurtosis (log)": {name: column(f"{kind}_kurtosis") for kind, name in there.items()},
        "largest over rms (log)": {name: column(f"{kind}_max_over_rms") for kind, name in there.items()},
        "share of neurons, share of numbers": {
            "dead neurons": column("dead_share"),
            "exact zeros": column("exact_zeros_share"),
        },
    }


def _remarks(
    layers: list[Layer], rows: list[found.Row], overflow: list[found.Row], word: str, sample: Sample
) -> tuple[str, ...]:
    remarks = []
    if sample.windows < FEW:
        taken = "windows" if sample.context > 1 else "images"
        remarks.append(f"Nothing here has an interval, and of fewer than {FEW} {taken} shares and kurtoses are rough.")
    if len({row["layer"] for row in rows}) < len(rows):
        remarks.append(
            "Layer is the number of the block, 0 of the stem; its activations are told apart by their names."
        )
    if layers[0].gated:
        remarks.append(f"{word} is gated: inputs are the gate's, hidden is their product with what is let through.")
    if any(layer.term for layer in layers):
        remarks.append(
            "The constant term is taken off before dead neurons and exact zeros are counted, and only there."
        )
    unseen = sum(layer.units - layer.neurons.seen for layer in layers)
    if unseen:
        remarks.append(f"{unseen:,} neurons are of experts that no token was sent to; they count as neither.")
    lost = [row for row in overflow if row["overflow"] and row["format"] == "float16"]
    if lost:
        worst = max(lost, key=lambda row: row["overflow_share"])
        remarks.append(
            f"In float16 {worst['overflow_share']:.2g} of the {worst['what']}s x^{worst['power']} of {worst['name']} "
            "would overflow; this kit computes them in float32."
        )
    return tuple(remarks)
