"""Numbers that are too many to keep, added up as they come: their moments, and how they are distributed."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BINS = 2**14
AT_A_TIME = 2**22  # numbers, whose float64 copy takes 32 MiB; float32 counts them exactly in a histogram


@dataclass(frozen=True)
class Moments:
    """Of numbers, from ``(6,)`` float64: how many are finite, the sums of their powers 1 to 4, how many are not finite.

    About 0 and not about the mean, so that those of several devices add up: good to 1e-6 where the mean is up to 100
    deviations.
    """

    sums: Tensor

    @classmethod
    def none(cls, device: torch.device) -> "Moments":
        """Of no numbers."""
        return cls(torch.zeros(6, dtype=torch.float64, device=device))

    def and_of(self, x: Tensor) -> "Moments":
        """With those of ``x``, of any shape."""
        return Moments(self.sums + sum((_moments(part) for part in x.flatten().split(AT_A_TIME)), torch.zeros(())))

    @property
    def rms(self) -> float:
        """The root mean square."""
        return math.sqrt(self._mean(2))

    @property
    def mean(self) -> float:
        """The mean."""
        return self._mean(1)

    @property
    def deviation(self) -> float:
        """The standard deviation."""
        return math.sqrt(max(0.0, self._mean(2) - self.mean**2))

    @property
    def kurtosis(self) -> float:
        """The fourth central moment over the squared second: 3 of normal numbers; nan of numbers that are all alike."""
        m, (m1, m2, m3, m4) = self.deviation**2, (self._mean(power) for power in (1, 2, 3, 4))
        # below this a deviation is what rounding leaves of equal numbers
        return (m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4) / m**2 if m > 1e-12 * m2 else math.nan

    @property
    def not_finite(self) -> int:
        """How many were infinite or nan; these are in no moment."""
        return int(self.sums[5])

    def _mean(self, power: int) -> float:
        count = float(self.sums[0])
        return float(self.sums[power]) / count if count else math.nan


def _moments(x: Tensor) -> Tensor:
    finite = x.isfinite()
    y = x.double().where(finite, 0.0)
    squares = y * y
    count = finite.sum(dtype=torch.float64)
    sums = [count, y.sum(), squares.sum(), squares @ y, squares @ squares, x.numel() - count]
    return torch.stack(sums)


class Histogram:
    """Counts in bins of equal width from ``-reach`` to ``reach``, a power of two that grows with the largest number.

    When it doubles, neighbouring bins are put together, so that what was counted stays exact.
    """

    def __init__(self) -> None:
        self.reach = 0.0
        self.counts = np.zeros(BINS, np.int64)

    def add(self, x: Tensor) -> None:
        """Count ``x``, of any shape; what is not finite is passed over."""
        for part in x.flatten().split(AT_A_TIME):
            own = part.float()
            largest = float(own.nan_to_num(0, 0, 0).abs().max())
            self._reach(largest)
            self.counts += torch.histc(own, BINS, -self.reach, self.reach).long().cpu().numpy()

    @property
    def edges(self) -> NDArray[np.float64]:
        """``(BINS + 1,)``."""
        return np.linspace(-self.reach, self.reach, BINS + 1)

    def beyond(self, low: float, high: float) -> float:
        """The share of the numbers below ``low`` or above ``high``, good to a bin's width."""
        middle = (self.edges[1:] + self.edges[:-1]) / 2
        return float(self.counts[(middle < low) | (middle > high)].sum() / max(1, self.counts.sum()))

    def quantile(self, share: float) -> float:
        """The number below which a share of all lies, good to a bin's width."""
        return float(self.edges[np.searchsorted(self.counts.cumsum(), share * self.counts.sum())])

    def _reach(self, largest: float) -> None:
        if not self.reach:
            self.reach = 2.0 ** math.ceil(math.log2(largest)) if largest else 1.0
        while self.reach < largest:
            self.reach *= 2
            self.counts = np.pad(self.counts.reshape(-1, 2).sum(1), BINS // 4)
