"""How many of a token's active neurons were active for the token before, whose weights may still lie close by."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from repro.analysis.sparsity.effects import interval
from repro.analysis.sparsity.inputs import Given
from repro.analysis.sparsity.neurons import Neurons

Active = Callable[[Neurons, Tensor], Tensor]  # rows ``(rows, d_model)`` to ``(rows, d_ff)`` bool


@dataclass(frozen=True)
class Reuse:
    """Of one layer.

    Attributes:
        share: the mean over tokens of ``|A_t and A_(t+1)| / |A_(t+1)|``, within windows.
        by_chance: the same with any other token in place of the one before: some neurons are always active.
        active: neurons of a token, the mean; of its experts where there are any.
        low: lower end of the share's interval over windows; None of one window.
        high: upper end.
    """

    share: float | None
    by_chance: float | None
    active: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, neurons: list[Neurons], given: Given, active: Active, *, context: int) -> "Reuse":
        """Of tokens in windows of ``context``."""
        tokens = len(given.x)
        both, expected, sizes = torch.zeros(3, tokens)
        for expert, own in enumerate(neurons):
            x, numbers = given.of(expert)
            on, numbers = active(own, x), numbers.cpu()
            sizes[numbers] += on.sum(-1).cpu()
            expected[numbers] += (on.float() @ (on.sum(0) / tokens)).cpu()
            neighbours = numbers.diff() == 1
            both[numbers[1:][neighbours]] += (on[1:] & on[:-1]).sum(-1).cpu()[neighbours]
        counted = (torch.arange(tokens) % context > 0) & (sizes > 0)
        shares = both / sizes
        low, high = interval(shares, context=context, counted=counted)
        return cls(_mean(shares[counted]), _mean((expected / sizes)[counted]), float(sizes.mean()), low, high)


def _mean(shares: Tensor) -> float | None:
    return float(shares.mean()) if len(shares) else None
