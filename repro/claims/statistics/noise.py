"""How much a loss varies from seed to seed where nothing else differs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev

from scipy.special import chdtri

from repro.claims.statistics.values import finite


@dataclass(frozen=True)
class Noise:
    """A standard deviation over seeds, in the unit of the values.

    Attributes:
        sd: pooled over groups, each around its own mean.
        degrees: of freedom: seeds less groups.
        low, high: its 95 % interval, by chi squared.
    """

    sd: float
    degrees: int
    low: float
    high: float


def pooled(groups: Sequence[Sequence[float]]) -> Noise:
    """Of the values of several arms, a group an arm and a value a seed, as if all varied alike.

    At the smallest sizes they do not: there look at each arm's own, ``pooled([values])``.

    Raises:
        ValueError: no group has two values, or one is not finite.
    """
    found = [finite(group, "values of a group", least=0) for group in groups]
    degrees = sum(len(group) - 1 for group in found if group)
    if not degrees:
        raise ValueError("no group has two values: there is no noise to tell")
    root = math.hypot(*(math.sqrt(len(group) - 1) * stdev(group) for group in found if len(group) > 1))
    low, high = (root / math.sqrt(chdtri(degrees, tail)) for tail in (0.025, 0.975))
    return Noise(root / math.sqrt(degrees), degrees, low, high)
