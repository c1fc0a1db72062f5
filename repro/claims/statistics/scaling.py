"""Loss against size: L(N) = E + A N^-alpha."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import fdtrc

from repro.claims.statistics.noise import pooled
from repro.claims.statistics.paired import LEVEL
from repro.claims.statistics.profile import EXPONENTS, Profile
from repro.claims.statistics.student import quantile
from repro.claims.statistics.values import finite

FEWEST = 3
Interval = tuple[float, float]
ENDLESS: tuple[Interval, Interval, Interval] = ((-math.inf, math.inf), (0.0, math.inf), (0.0, math.inf))  # E, A, alpha


@dataclass(frozen=True)
class Parameter:
    """One number of a fit.

    Attributes:
        value: None where no such law comes nearest: the losses rise, fall as fast as ln N or faster, or after the
            smallest size not at all.
        low, high: the 95 % interval; endless on a side where the losses set no bound.
    """

    value: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Fit:
    """L(N) = floor + factor N^-exponent.

    Attributes:
        floor: E, in nats. Nothing keeps it above 0: an interval that goes below says that these sizes do not show it.
        factor: A, in nats, for N in the unit of the sizes given.
        exponent: alpha.
        misfit: p of the test for lack of fit, small where the losses follow no such law, and the intervals then mean
            little; None of three sizes, through which the law passes exactly, and without seed noise to measure it by.
        sizes: how many.
    """

    floor: Parameter
    factor: Parameter
    exponent: Parameter
    misfit: float | None
    sizes: int


def fit(sizes: Sequence[float], losses_by_seed: Sequence[Sequence[float]]) -> Fit | None:
    """Least squares of the law, of each size the losses of its seeds; None of fewer than three sizes.

    Three sizes determine it exactly, so all that is known of its error is the noise of seeds. Intervals are by profile
    likelihood: they hold every law whose sum of squares is above the least by at most t^2 times the variance over
    seeds, which is pooled over sizes. Never refits on resampled seeds, a bootstrap over few of them. Sizes count as
    independent, though they share seeds. Of one seed a size the intervals are endless.

    Raises:
        ValueError: lengths differ, a size has no loss, sizes are not above 0 and all different, a number is not finite.
    """
    if len(sizes) != len(losses_by_seed):
        raise ValueError(f"{len(sizes)} sizes and losses of {len(losses_by_seed)}")
    found = finite(sizes, "sizes", least=0)
    if len(set(found)) < len(found) or min(found, default=1.0) <= 0:
        raise ValueError(f"sizes have to be above 0 and all different, not {found}")
    losses = [finite(seeds, "losses of a size", least=1) for seeds in losses_by_seed]
    return _fit(Profile(found, losses), *_noise(losses), len(found)) if len(found) >= FEWEST else None


def _noise(losses: Sequence[Sequence[float]]) -> tuple[float, int]:
    """The variance over seeds and its degrees of freedom; endless where there is nothing to measure it by."""
    if all(len(seeds) < 2 for seeds in losses):
        return math.inf, 0
    noise = pooled(losses)
    return noise.sd**2, noise.degrees


def _fit(profile: Profile, variance: float, degrees: int, sizes: int) -> Fit:
    best = profile.best()
    exponent, least, floor, factor = (float(of[0]) for of in (best.exponents, best.squares, best.floor, best.factor))
    bound = least + variance * quantile((1 + LEVEL) / 2, degrees) ** 2 if degrees else math.inf
    falls = factor > 0
    ends = _ends(profile, exponent, bound) if falls and profile.flat > bound else ENDLESS
    there = falls and EXPONENTS[0] < exponent < EXPONENTS[1]
    found = [_parameter(*each, there=there) for each in zip((floor, factor, exponent), ends, strict=True)]
    return Fit(found[0], found[1], found[2], _misfit(least, variance, degrees, sizes - FEWEST), sizes)


def _ends(profile: Profile, exponent: float, bound: float) -> tuple[Interval, Interval, Interval]:
    """Of the intervals of E, A and alpha, where the losses fall for certain."""
    region = profile.region(exponent, bound)
    floor, factor = region.reach(bound)
    low, high = float(region.exponents[0]), float(region.exponents[-1])
    straight, step = low <= EXPONENTS[0], high >= EXPONENTS[1]
    return (
        (-math.inf if straight else floor[0], floor[1]),
        (factor[0], math.inf if straight or step else factor[1]),
        (0.0 if straight else low, math.inf if step else high),
    )


def _parameter(value: float, ends: Interval, *, there: bool) -> Parameter:
    """With ends that hold the value, which rounding may put outside of an interval that is a point."""
    return Parameter(value, min(value, ends[0]), max(value, ends[1])) if there else Parameter(None, *ends)


def _misfit(least: float, variance: float, degrees: int, spare: int) -> float | None:
    if not (spare and degrees and variance):
        return None
    return float(fdtrc(spare, degrees, least / spare / variance))
