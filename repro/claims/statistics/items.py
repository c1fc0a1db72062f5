"""Two models that answered the same items, each rightly or wrongly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr

DRAWS = 10_000


@dataclass(frozen=True)
class Items:
    """How two models compare on the same items. It speaks of these two models, not of how others would train.

    Attributes:
        n: items.
        only_a, only_b: those that ``a`` alone, and ``b`` alone, answered rightly.
        difference: of the shares answered rightly, a - b.
        low, high: its 95 % interval, by a paired bootstrap over items.
        p: of McNemar's exact test, two-sided.
    """

    n: int
    only_a: int
    only_b: int
    difference: float
    low: float
    high: float
    p: float


def items(a: Sequence[bool], b: Sequence[bool]) -> Items:
    """McNemar's test (1947; exact, by the binomial), and an interval, of answers to the same items in the same order.

    Resampling items is drawing the three counts anew. Each of the four cells has half an item more there, as Agresti
    and Min (2005) add it: where no item tells the models apart the interval would be a point otherwise.

    Raises:
        ValueError: there are fewer than two items, of one model more than of the other, or an answer is not 0 or 1.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} answers of one model and {len(b)} of the other: they have to be to the same items")
    if len(a) < 2:
        raise ValueError(f"{len(a)} items: it takes 2 or more")
    if wrong := [answer for answer in (*a, *b) if answer not in (0, 1)]:
        raise ValueError(f"an answer is right or wrong, 1 or 0, not {wrong[0]}")
    right_a, right_b = np.asarray(a, bool), np.asarray(b, bool)
    n, only_a, only_b = len(a), int(np.sum(right_a & ~right_b)), int(np.sum(right_b & ~right_a))
    low, high = _interval(n, only_a, only_b)
    return Items(n, only_a, only_b, (only_a - only_b) / n, low, high, _mcnemar(only_a, only_b))


def _mcnemar(only_a: int, only_b: int) -> float:
    return min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def _interval(n: int, only_a: int, only_b: int) -> tuple[float, float]:
    cells = np.array([only_a + 0.5, only_b + 0.5, n - only_a - only_b + 1]) / (n + 2)
    drawn = np.random.default_rng(0).multinomial(n, cells, DRAWS)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / n, [0.025, 0.975])
    return float(low), float(high)
