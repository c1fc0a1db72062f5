"""What leaving neurons out does to a loss, with the interval that the windows of a sample give."""

from dataclasses import dataclass
from typing import Self

import scipy.stats
import torch
from torch import Tensor

LEVEL = 0.95


@dataclass(frozen=True)
class Effect:
    """Of leaving some neurons out.

    Attributes:
        sparsity: the share of neurons left out, the mean over layers.
        loss: in nats per target.
        increase: over the whole network's loss, in nats.
        low: lower end of the increase's interval over windows; None of one window.
        high: upper end.
        windows: how many.
    """

    sparsity: float
    loss: float
    increase: float
    low: float | None
    high: float | None
    windows: int

    @classmethod
    def of(cls, losses: Tensor, whole: Tensor, *, context: int, sparsity: float) -> Self:
        """Of the losses of targets, window by window of ``context``, with and without the neurons."""
        differences = (losses - whole).double()
        low, high = interval(differences, context=context)
        loss, increase = float(losses.double().mean()), float(differences.mean())
        return cls(sparsity, loss, increase, low, high, len(differences) // context)


def interval(values: Tensor, *, context: int, counted: Tensor | None = None) -> tuple[float, float] | tuple[None, None]:
    """Of the mean of the values that are ``counted``, by Student's t over windows of ``context``; None of one window.

    Where windows have unequal numbers of them, the mean is a ratio of two sums, and what of it varies is linearised.
    """
    every = torch.ones_like(values, dtype=torch.bool) if counted is None else counted
    counts = every.double().view(-1, context).sum(-1)
    sums = torch.where(every, values.double(), 0).view(-1, context).sum(-1)
    there = counts > 0
    n, mean = int(there.sum()), float(sums.sum() / counts.sum())
    if n < 2:
        return None, None
    spread = float((sums - mean * counts)[there].square().sum() / (n - 1)) ** 0.5 / float(counts[there].mean())
    reach = float(scipy.stats.t.ppf((1 + LEVEL) / 2, n - 1)) * spread / n**0.5
    return mean - reach, mean + reach
