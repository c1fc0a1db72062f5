"""How well it can be told which neurons are active without computing all of them."""

from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.analysis.sparsity.inputs import Given
from repro.analysis.sparsity.neurons import ROWS, Layer, Neurons, rest
from repro.analysis.sparsity.predictor import Predictor, auc, recall
from repro.analysis.sparsity.shares import SCANNED, Pieces, pieces
from repro.analysis.sparsity.thresholds import quantiles

NARROWER = 8  # how many times narrower than the residual stream a predictor is


@dataclass(frozen=True)
class Gate:
    """What a gate tells of its neuron before what it lets through is known.

    Attributes:
        threshold: of the length that the output would have with 1 let through, at which as many are named as are
            active.
        recall: of active neurons the share that is named, on other tokens; None if none is active.
    """

    threshold: float
    recall: float | None

    @classmethod
    def of(cls, layer: Layer, fitted: Given, others: Given, threshold: float) -> Self | None:
        """At a threshold of outputs; None of a layer without gates."""
        if not layer.neurons[0].gated:
            return None
        scores, active = _told(pieces(layer, fitted.every(SCANNED)), threshold)
        own = quantiles(scores, [1 - float(active.float().mean())])[0]
        return cls(own, recall(*_told(pieces(layer, others.every(SCANNED)), threshold)))


@dataclass(frozen=True)
class Guesses:
    """Of a predictor, where as many neurons are named as are active, on tokens that it was not trained on.

    Attributes:
        predictor: trained.
        recall: of active neurons the share that it names; None if none is active.
        recall_of_usual: the same if always those were named that were active most often.
        auc: how often an active neuron is above an inactive one.
    """

    predictor: Predictor
    recall: float | None
    recall_of_usual: float | None
    auc: float | None

    @classmethod
    def of(cls, layer: Layer, fitted: Given, others: Given, threshold: float) -> Self | None:
        """At a threshold of outputs; None of experts, which see too few tokens for a predictor each."""
        if fitted.chosen is not None:
            return None
        own, few = layer.neurons[0], others.every(SCANNED).x
        was, now = active(own, fitted.x, threshold), active(own, few, threshold)
        predictor = Predictor.trained(fitted.x, was, rank=max(1, few.shape[1] // NARROWER))
        scores, usual = predictor.logits(few), was.float().mean(0).expand(now.shape)
        return cls(predictor, recall(scores, now), recall(usual, now), auc(scores, now))


def active(neurons: Neurons, x: Tensor, threshold: float) -> Tensor:
    """Whose output is longer than a threshold, ``(rows, d_ff)`` bool."""
    return torch.cat([part > threshold for part in neurons.magnitudes(x)])


def alone(neurons: Neurons, first: Tensor) -> Tensor:
    """``h`` without its constant part, or what it would be if gates let 1 through, from the first product."""
    inputs = (first, torch.ones_like(first))[: len(neurons.first)]
    hidden: Tensor = neurons.activation(*inputs) - rest(neurons.constant, inputs)
    return hidden


def lengths(neurons: Neurons, hidden: Tensor) -> Tensor:
    """Of outputs, ``(rows, d_ff)`` float32."""
    return hidden.float().abs() * neurons.lengths


def _told(rows: Pieces, threshold: float) -> tuple[Tensor, Tensor]:
    """What gates tell, and who is active, of all rows."""
    parts = [(own, part) for own, x in rows if len(x) for part in x.split(ROWS)]
    scores = torch.cat([lengths(own, alone(own, F.linear(part, own.first[0]))).flatten() for own, part in parts])
    return scores, torch.cat([active(own, part, threshold).flatten() for own, part in parts])
