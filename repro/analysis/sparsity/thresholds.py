"""Below which length of its output a neuron counts as inactive: one threshold a layer.

CETT, the cumulative errors of tail truncation of arXiv 2402.03804, is how much the inactive neurons of a token would
have added, next to what all of them add: ``||sum of inactive h_i W_down[:, i]|| / ||sum of all h_i W_down[:, i]||``.
Both are without the constant part of the activation, which is nobody's work: beside a large one all neurons together
would count for nothing. The threshold is the largest with a mean CETT over tokens of at most ``tau``. Outputs cancel,
so that this mean rises and falls with the threshold: a bisection would find some crossing, and here every length that
occurs is tried.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from repro.analysis.sparsity.neurons import ROWS, Neurons

ELEMENTS = 2**20  # float32 numbers of partial sums at a time: four times as many leave the cache and take twice as long


@dataclass(frozen=True)
class Curve:
    """The mean CETT of a layer at every threshold that changes it.

    Attributes:
        thresholds: ascending, beginning with 0; inactive is who is at most as long.
        cett: of each, float64; the last one has all neurons inactive.
    """

    thresholds: Tensor
    cett: Tensor

    @classmethod
    def of(cls, pieces: Iterable[tuple[Neurons, Tensor]]) -> Self:
        """Of rows ``(rows, d_model)`` and the neurons that get them."""
        scans = [_scan(rows, neurons) for neurons, x in pieces for rows in x.split(ROWS) if len(x)]
        magnitudes, cett = (torch.cat(parts) for parts in zip(*scans, strict=True))
        steps = cett.diff(dim=-1, prepend=cett.new_zeros(len(cett), 1)).flatten()
        lengths, order = magnitudes.flatten().sort()
        thresholds = torch.cat([lengths.new_zeros(1), lengths])
        means = torch.cat([steps.new_zeros(1), steps[order].cumsum(0)]) / len(cett)
        last = thresholds.diff(append=thresholds.new_full((1,), torch.inf)) > 0  # of equals, who leave together
        return cls(thresholds[last], means[last])

    def largest(self, tau: float) -> float:
        """The largest threshold with a CETT of at most ``tau``; 0 if no other has, where exact zeros are inactive."""
        return float(self.thresholds[(self.cett <= tau).nonzero()[-1, 0]])

    def at(self, threshold: float) -> float:
        """The mean CETT at one of the thresholds."""
        return float(self.cett[torch.searchsorted(self.thresholds, threshold)])


def cett(pieces: Iterable[tuple[Neurons, Tensor]], thresholds: Sequence[float]) -> list[float]:
    """The mean CETT of rows at thresholds, in one product a threshold."""
    sums, count = torch.zeros(len(thresholds), dtype=torch.float64), 0
    for neurons, x in pieces:
        hidden = neurons.hidden(x)
        lengths, magnitudes = (hidden @ neurons.columns).norm(dim=-1), hidden.abs() * neurons.lengths
        for number, threshold in enumerate(thresholds):
            cut = torch.where(magnitudes <= threshold, hidden, 0) @ neurons.columns
            sums[number] += _share(cut.norm(dim=-1), lengths).double().sum().cpu()
        count += len(x)
    return [float(total) / count for total in sums]


def quantiles(magnitudes: Tensor, shares: Sequence[float]) -> list[float]:
    """The smallest lengths that at least such shares of ``magnitudes`` do not exceed; -1 for none of them."""
    ascending = magnitudes.flatten().sort().values
    places = [math.ceil(share * len(ascending)) - 1 for share in shares]
    return [float(ascending[place]) if place >= 0 else -1.0 for place in places]


def _rows_at_a_time(neurons: Neurons) -> int:
    return max(1, ELEMENTS // neurons.down.numel())


def _scan(x: Tensor, neurons: Neurons) -> tuple[Tensor, Tensor]:
    """Of each row the lengths of its neurons' outputs, ascending, and its CETT as one after the other is left out."""
    hidden = neurons.hidden(x)
    magnitudes, order = (hidden.abs() * neurons.lengths).sort(-1)
    at_a_time = _rows_at_a_time(neurons)
    rows = zip(order.split(at_a_time), hidden.gather(1, order).split(at_a_time), strict=True)
    sums = torch.cat([neurons.columns[who].mul_(h[..., None]).cumsum_(1).norm(dim=-1) for who, h in rows])
    return magnitudes, _share(sums, (hidden @ neurons.columns).norm(dim=-1, keepdim=True)).double()


def _share(part: Tensor, whole: Tensor) -> Tensor:
    """``part / whole``, 0 where the whole is nothing: nothing is lost of it."""
    return torch.where(whole > 0, part / whole, 0)
