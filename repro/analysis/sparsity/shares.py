"""How many neurons of a layer are inactive: thresholds from one part of a sample, shares on another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from repro.analysis.sparsity.effects import interval
from repro.analysis.sparsity.inputs import Given
from repro.analysis.sparsity.neurons import ROWS, Layer, Neurons
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
        low: lower end of its interval over windows; None of one window.
        high: upper end.
        by_expert: the same of each expert; None of one that no token was sent to.
    """

    threshold: float
    cett: float
    cett_elsewhere: float
    sparsity: float
    low: float | None
    high: float | None
    by_expert: tuple[float | None, ...]


@dataclass(frozen=True)
class Shares:
    """Of one layer.

    Attributes:
        by_tau: at the largest threshold with a mean CETT of at most tau.
        zeros: values that are exactly 0 without the constant part, whatever column they go to: the share.
        quantiles: the lengths that such shares of outputs do not exceed, by share.
        rows: tokens of each expert, or of the FFN.
    """

    by_tau: Mapping[float, Share]
    zeros: float
    quantiles: Mapping[float, float]
    rows: tuple[int, ...]

    @classmethod
    def of(
        cls,
        layer: Layer,
        fitted: Given,
        others: Given,
        taus: Sequence[float],
        shares: Sequence[float],
        *,
        context: int,
    ) -> Self:
        """Thresholds from ``fitted``, counts of ``others``, in windows of ``context``."""
        few = pieces(layer, fitted.every(SCANNED))
        curve = Curve.of(few)
        thresholds = [curve.largest(tau) for tau in taus]
        counted = _Counted.of(layer, others, thresholds)
        elsewhere = cett(pieces(layer, others.every(SCANNED)), thresholds)
        by_tau = {
            tau: Share(
                threshold, curve.at(threshold), there, *counted.share(number, context), counted.by_expert(number)
            )
            for number, (tau, threshold, there) in enumerate(zip(taus, thresholds, elsewhere, strict=True))
        }
        lengths = torch.cat([part.flatten() for own, x in few for part in own.magnitudes(x)])
        found = dict(zip(shares, quantiles(lengths, shares), strict=True))
        return cls(by_tau, float(counted.tokens[-1].mean()), found, counted.rows)


def pieces(layer: Layer, given: Given) -> Pieces:
    """The neurons of a layer and the rows that each FFN or expert of it gets."""
    return [(own, given.of(number)[0]) for number, own in enumerate(layer.neurons)]


@dataclass(frozen=True)
class _Counted:
    """Shares of neurons below each threshold and, last, of those whose value is 0.

    Attributes:
        tokens: of each token, ``(thresholds + 1, tokens)`` float64.
        experts: of each expert, or of the FFN, ``(thresholds + 1, experts)``; NaN of one that no token was sent to.
        rows: tokens of each.
    """

    tokens: Tensor
    experts: Tensor
    rows: tuple[int, ...]

    @classmethod
    def of(cls, layer: Layer, given: Given, thresholds: Sequence[float]) -> Self:
        """Of all that a layer is given."""
        tokens = torch.zeros(len(thresholds) + 1, len(given.x), dtype=torch.float64)
        experts = torch.zeros(len(thresholds) + 1, len(layer.neurons), dtype=torch.float64)
        rows, d_ff = [], layer.neurons[0].down.shape[1]
        for number, own in enumerate(layer.neurons):
            x, numbers = given.of(number)
            rows.append(len(x))
            for part, there in zip(x.split(ROWS), numbers.cpu().split(ROWS), strict=True):
                out = _inactive(own, part, thresholds)
                tokens[:, there] += out
                experts[:, number] += out.sum(-1)
        passed = 1 if given.chosen is None else given.chosen.shape[1]
        return cls(tokens / (passed * d_ff), experts / (torch.tensor(rows) * d_ff), tuple(rows))

    def share(self, number: int, context: int) -> tuple[float, float | None, float | None]:
        """At a threshold, over all tokens, and the interval over windows."""
        low, high = interval(self.tokens[number], context=context)
        return float(self.tokens[number].mean()), low, high

    def by_expert(self, number: int) -> tuple[float | None, ...]:
        """At a threshold; None of one that no token was sent to."""
        return tuple(None if share.isnan() else float(share) for share in self.experts[number])


def _inactive(own: Neurons, x: Tensor, thresholds: Sequence[float]) -> Tensor:
    """How many neurons of each row, ``(thresholds + 1, rows)`` float64 on the CPU."""
    hidden = own.hidden(x)
    lengths = hidden.abs() * own.lengths
    out = [lengths <= limit for limit in thresholds] + [hidden == 0]
    return torch.stack([neurons.float().sum(-1) for neurons in out]).double().cpu()
