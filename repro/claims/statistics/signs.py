"""Differences of what has few values, or no bound: judged exactly, by their signs and the order of their sizes."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Signs:
    """What paired differences say by sign and rank.

    Attributes:
        lower, higher: how many lie below 0 and above.
        n: how many there are, those that are 0 among them.
        balance: the sum of the ranks of their sizes, each with its difference's sign.
        p: of the hypothesis that a difference is as likely to have either sign, two-sided.
        least: the smallest p that so many pairs can have: 2 of all the ways to give them signs.
    """

    lower: int
    higher: int
    n: int
    balance: float
    p: float
    least: float


def signs(differences: Sequence[float]) -> Signs:
    """The signed-rank test (Wilcoxon 1945) of differences, one a pair, over all ways to flip their signs.

    Nothing is assumed of how differences are spread, so that it holds of a grid's few values, of which all may be the
    same, and of infinite ones, which rank as the largest. Ties share the mean of their ranks; what is 0 has no sign to
    flip, and no say.

    Raises:
        ValueError: there is no difference, or one is not a number.
    """
    found = [float(difference) for difference in differences]
    if not found or any(math.isnan(difference) for difference in found):
        raise ValueError(f"differences have to be numbers, one or more, not {found}")
    apart = [difference for difference in found if difference]
    doubled = _doubled_ranks([abs(difference) for difference in apart])
    balance = sum(math.copysign(rank, difference) for rank, difference in zip(doubled, apart, strict=True))
    lower = sum(difference < 0 for difference in apart)
    least = min(1.0, 2.0 ** (1 - len(found)))
    return Signs(lower, len(apart) - lower, len(found), balance / 2, _two_sided(doubled, balance), least)


def _doubled_ranks(sizes: Sequence[float]) -> list[int]:
    """Twice the rank of each, so that the means of ties are whole numbers."""
    return [2 * sum(other < size for other in sizes) + sum(other == size for other in sizes) + 1 for size in sizes]


def _two_sided(doubled: Sequence[int], balance: float) -> float:
    """The share of all ways to give ranks signs whose sum is as far from 0."""
    ways: Counter[int] = Counter({0: 1})
    for rank in doubled:
        ways = Counter({total: ways[total - rank] + ways[total + rank] for total in _reached(ways, rank)})
    as_far = sum(number for total, number in ways.items() if abs(total) >= abs(balance))
    return as_far / float(2 ** len(doubled))


def _reached(ways: Counter[int], rank: int) -> set[int]:
    return {total + step for total in ways for step in (-rank, rank)}
