"""How many neurons of a layer are inactive: thresholds from one part of a sample, shares on another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from repro.analysis.sparsity.inputs import Given
from repro.analysis.sparsity.neurons import Layer, Neurons
from repro.analysis.sparsity.thresholds import Curve, cett, quantiles

SCANNED = 256  # tokens whose every length is tried as a threshold, and as many others that it is tried on
Pieces = list[tuple[Neurons, Tensor]]


@dataclass(frozen=True)
class Share:
    """Of neurons that are inactive at a threshold.

    Attributes:
        threshold: largest length of an inactive neuron's output.
        cett: mean of the tokens that the threshold was chosen on.
        cett_elsewhere: mean of others.
        sparsity: inactive neurons over all, of others; of the chosen experts' neurons, where there are experts.
        by_expert: the same of each expert; None of one that no token was sent to.
    """

    threshold: float
    cett: float
    cett_elsewhere: float
    sparsity: float
    by_expert: tuple[float | None, ...]


@dataclass(frozen=True)
class Shares:
    """Of one layer.

    Attributes:
        by_tau: at the largest threshold with a mean CETT of at most tau.
        zeros: whose output is exactly 0: the share.
        quantiles: the lengths that such shares of outputs do not exceed, by share.
        rows: tokens of each expert, or of the FFN.
    """

    by_tau: Mapping[float, Share]
    zeros: float
    quantiles: Mapping[float, float]
    rows: tuple[int, ...]

    @classmethod
    def of(cls, layer: Layer, fitted: Given, others: Given, taus: Sequence[float], shares: Sequence[float]) -> Self:
        """Thresholds from ``fitted``, counts of ``others``."""
        few = pieces(layer, fitted.every(SCANNED))
        curve = Curve.of(few)
        thresholds = [curve.largest(tau) for tau in taus]
        counts, rows = _counts(layer, others, [*thresholds, 0.0])
        whole = rows.sum() * layer.neurons[0].down.shape[1]
        elsewhere = cett(pieces(layer, others.every(SCANNED)), thresholds)
        by_tau = {
            tau: Share(threshold, curve.at(threshold), there, float(count.sum() / whole), _each(count, rows, layer))
            for tau, threshold, there, count in zip(taus, thresholds, elsewhere, counts, strict=False)
        }
        lengths = torch.cat([part.flatten() for own, x in few for part in own.magnitudes(x)])
        found = dict(zip(shares, quantiles(lengths, shares), strict=True))
        return cls(by_tau, float(counts[-1].sum() / whole), found, tuple(int(n) for n in rows))


def pieces(layer: Layer, given: Given) -> Pieces:
    """The neurons of a layer and the rows that each FFN or expert of it gets."""
    return [(own, given.of(number)[0]) for number, own in enumerate(layer.neurons)]


def _counts(layer: Layer, given: Given, thresholds: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Inactive outputs, ``(thresholds, experts)``, and rows, ``(experts,)``, float64."""
    counts = torch.zeros(len(thresholds), len(layer.neurons), dtype=torch.float64)
    rows = torch.zeros(len(layer.neurons), dtype=torch.float64)
    for number, (own, x) in enumerate(pieces(layer, given)):
        rows[number] = len(x)
        for lengths in own.magnitudes(x):
            counts[:, number] += torch.stack([(lengths <= threshold).sum() for threshold in thresholds]).cpu()
    return counts, rows


def _each(counts: Tensor, rows: Tensor, layer: Layer) -> tuple[float | None, ...]:
    d_ff = layer.neurons[0].down.shape[1]
    return tuple(float(count / (n * d_ff)) if n else None for count, n in zip(counts, rows, strict=True))
