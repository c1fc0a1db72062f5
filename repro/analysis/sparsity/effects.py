"""What leaving neurons out does to a loss, with the interval that the windows of a sample give."""

from dataclasses import dataclass
from typing import Self

import scipy.stats
from torch import Tensor

LEVEL = 0.95


@dataclass(frozen=True)
class Effect:
    """Of leaving some neurons out.

    Attributes:
        sparsity: the share of neurons left out, the mean over layers.
        loss: in nats per target.
        increase: over the whole network's loss, in nats.
        low: lower end of the increase's interval, by Student's t over windows; None of one window.
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
        differences = (losses - whole).double().view(-1, context).mean(-1)
        increase, n = float(differences.mean()), len(differences)
        reach = float(scipy.stats.t.ppf((1 + LEVEL) / 2, n - 1) * differences.std() / n**0.5) if n > 1 else None
        low, high = (None, None) if reach is None else (increase - reach, increase + reach)
        return cls(sparsity, float(losses.double().mean()), increase, low, high, n)
