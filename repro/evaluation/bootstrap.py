"""Intervals of a ratio of sums over documents: what another draw of as many documents could have given.

The unit that is drawn is the document, since the tokens of one are no independent draws. An interval says how much
the documents of a set decide; it says nothing of another training run.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1_000
LEVEL = 0.95
LABEL = f"{100 * LEVEL:g} % interval, documents resampled"
NONE = "no interval of one document"
SEED = 0  # the same documents are drawn for every model, so that two models' resamples are pairs
_LARGEST = 709.0  # whose exponential is a float
_DRAWN = 2**20  # documents drawn at a time, or those of one resample
FEW = 30  # documents; of 10 an interval was seen to hold the truth 87 times in 100, of 30 93, of 60 94


@dataclass(frozen=True)
class Interval:
    """From ``low`` to ``high``."""

    low: float
    high: float

    def exp(self) -> "Interval":
        """Of the exponential."""
        return Interval(exp(self.low), exp(self.high))

    def times(self, factor: float) -> "Interval":
        """Of so many times as much."""
        return Interval(factor * self.low, factor * self.high)


def exp(x: float) -> float:
    """Infinite where no float is large enough."""
    return math.exp(x) if x < _LARGEST else math.inf


def intervals(sums: NDArray[np.float64], *counts: NDArray[np.int64]) -> list[Interval | None]:
    """Percentile intervals of ``sum(sums) / sum(count)`` for each of ``counts``, all of shape ``(documents,)``.

    Documents are drawn with replacement, in memory for a few numbers a document. There is no
    interval of one document, nor of a count that is nothing.
    """
    columns = np.stack([sums, *counts], axis=1).astype(np.float64)
    if len(columns) < 2:
        return [None for _ in counts]
    drawn = _resampled(columns)
    return [_percentiles(drawn[:, 0], drawn[:, i]) for i in range(1, len(counts) + 1)]


def _resampled(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over each resample, ``(RESAMPLES, columns)``."""
    n, random = len(columns), np.random.default_rng(SEED)
    at_a_time = max(1, _DRAWN // n)
    sizes = [min(at_a_time, RESAMPLES - start) for start in range(0, RESAMPLES, at_a_time)]
    return np.concatenate([_weights(random, size, n) @ columns for size in sizes])


def _weights(random: np.random.Generator, resamples: int, n: int) -> NDArray[np.int64]:
    """How often each of ``n`` documents is drawn, multinomial, ``(resamples, n)``."""
    drawn = random.integers(0, n, (resamples, n)) + n * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * n).reshape(resamples, n)


def _percentiles(above: NDArray[np.float64], below: NDArray[np.float64]) -> Interval | None:
    if not below.all():
        return None
    low, high = np.quantile(above / below, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))
