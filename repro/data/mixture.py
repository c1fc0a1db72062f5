"""Mixtures: which subset each sample of a run is of, so that every prefix of the run has them in proportion.

A balanced binary tree over the subsets, in the order of the set's shards. Of the first ``k`` samples that reach a node
``round(k p / q)`` go left and the others right, in whole numbers: whether sample ``k`` goes left, and as which of
those that do, needs no sample before it. Rounding is half a sample at a node, so that anywhere in the run a subset is
off its share by at most half a sample for each level of the tree. Each subset has windows and epochs of its own.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from repro.data import order
from repro.data.manifest import Prepared
from repro.errors import DataError, nearest

# Of a denominator q: products with a remainder below it are then below 2^64. A ratio that needs a larger one is off by
# less than 2^-33, a sample in as many.
_LARGEST = 2**32 - 1


def places(samples: NDArray[np.uint64], weights: Sequence[Fraction]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """The subset that each sample of a run is of, and as which of its samples.

    Args:
        samples: numbers of samples since the run's first, ``(samples,)``, below 2^63.
        weights: of the subsets, at least one, all positive.
    """
    if len(weights) == 1:
        return np.zeros(samples.shape, dtype=np.int64), samples
    half = len(weights) // 2
    ratio = Fraction(sum(weights[:half]), sum(weights)).limit_denominator(_LARGEST)
    before = _rounded(samples, ratio)
    left = _rounded(samples + np.uint64(1), ratio) > before
    subset, number = np.empty(samples.shape, dtype=np.int64), np.empty_like(samples)
    sides = ((left, before, weights[:half], 0), (~left, samples - before, weights[half:], half))
    for chosen, reached, below, first in sides:
        subset[chosen], number[chosen] = places(reached[chosen], below)
        subset[chosen] += first
    return subset, number


def _rounded(k: NDArray[np.uint64], ratio: Fraction) -> NDArray[np.uint64]:
    """``ratio * k`` as the nearest whole number, exactly."""
    p, q = np.uint64(ratio.numerator), np.uint64(ratio.denominator)
    whole, rest = np.divmod(k, q)
    return whole * p + (rest * p + q // np.uint64(2)) // q


@dataclass(frozen=True)
class Part:
    """A subset of a mixture.

    Attributes:
        name: of the subset.
        share: of the samples; the parts' add up to 1.
        ends: windows of the subset up to the end of each of its shards, ``(shards,)``.
        shifts: what makes a window's number in the subset its number in the split, by shard.
    """

    name: str
    share: Fraction
    ends: NDArray[np.int64]
    shifts: NDArray[np.int64]

    @property
    def n_windows(self) -> int:
        """In an epoch of this subset."""
        return int(self.ends[-1])

    def windows(self, samples: NDArray[np.uint64], seed: int) -> NDArray[np.int64]:
        """The windows of the split that so-and-so-many-th samples of this subset read: a permutation in every epoch."""
        key = int.from_bytes(hashlib.sha256(f"{seed} {self.name}".encode()).digest()[:8])
        own = order.windows(samples.astype(np.int64), self.n_windows, key)
        return own + self.shifts[self.ends.searchsorted(own, side="right")]


class Mixture:
    """The training windows of a set, its subsets in the proportions of ``weights``.

    Args:
        prepared: the set, whose shards say what subset they are of.
        weights: positive, by subset; only their proportions count, not their order.
        context: tokens in a sequence.

    Attributes:
        parts: the subsets with a weight, in the order of the set's shards.
        left_out: names of the others.

    Raises:
        DataError: the set has no such subset, or too short a one.
    """

    def __init__(self, prepared: Prepared, weights: Mapping[str, float], context: int) -> None:
        shards = prepared.shards("train")
        names = tuple(dict.fromkeys(shard.subset for shard in shards))
        _check(prepared, weights, names)
        of = np.array([names.index(shard.subset) for shard in shards])
        counts = np.array([shard.windows(context) for shard in shards], dtype=np.int64)
        exact = {name: Fraction(str(weight)) for name, weight in weights.items()}  # 0.1 is a tenth, as it is written
        whole = sum(exact.values())
        self.left_out = tuple(name for name in names if name not in weights)
        self.parts = tuple(
            _part(name, exact[name] / whole, counts, of == i) for i, name in enumerate(names) if name in weights
        )
        for part in self.parts:
            if not part.n_windows:
                raise DataError(
                    f"data.mixture: no shard of the subset {part.name!r} of {prepared.name} is long enough for a "
                    f"window: expected one of more than context={context} tokens"
                )

    def windows(self, samples: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
        """The window that each sample of a run reads, in the shape of ``samples``; see :func:`order.windows`."""
        subset, number = places(samples.ravel().astype(np.uint64), [part.share for part in self.parts])
        found = np.empty(subset.shape, dtype=np.int64)
        for i, part in enumerate(self.parts):
            found[subset == i] = part.windows(number[subset == i], seed)
        return found.reshape(samples.shape)

    def epochs(self, samples: int) -> dict[str, float]:
        """How often a run of so many samples goes through each subset."""
        return {part.name: float(part.share) * samples / part.n_windows for part in self.parts}


def _part(name: str, share: Fraction, counts: NDArray[np.int64], own: NDArray[np.bool_]) -> Part:
    ends: NDArray[np.int64] = counts[own].cumsum()
    ends_in_split: NDArray[np.int64] = counts.cumsum()[own]
    return Part(name, share, ends, ends_in_split - ends)


def _check(prepared: Prepared, weights: Mapping[str, float], names: Sequence[str]) -> None:
    known = [name for name in names if name]
    for name in weights:
        if not known:
            raise DataError(f"data.mixture: {prepared.name} has no subsets to mix; expected data.mixture=null")
        if name not in known:
            raise DataError(
                f"data.mixture: {prepared.name} has no subset {name!r}.{nearest(name, known)} "
                f"It has: {', '.join(known)}"
            )
