"""The order of training: a stateless permutation, so that a position in a run is one integer.

Sample ``k`` of a run reads window ``P(k mod n)`` in epoch ``k // n``, where ``P`` is a permutation of the ``n`` windows
keyed by (seed, epoch). Nothing is stored or shuffled; every rank and worker, and a run that resumes, computes the same.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from repro.errors import DataError

Order = Callable[[NDArray[np.int64]], NDArray[np.int64]]  # the window that each sample of a run reads

_ROUNDS = 6  # ours; four already make a Feistel network of random functions a strong pseudorandom permutation
_BLOCK = 8192  # samples permuted at a time: numpy's overhead per call disappears among them


def windows(samples: NDArray[np.int64], n: int, seed: int) -> NDArray[np.int64]:
    """The window that each sample of a run reads, of ``n``: a permutation of them in every epoch.

    A Feistel network on the next even number of bits, repeated until the result is below ``n`` (cycle-walking).

    Args:
        samples: numbers of samples since the run's first, any shape.
        n: windows in an epoch, at least 1.
        seed: of the order; any integer.

    Returns:
        Numbers of windows in ``[0, n)``, in the shape of ``samples``.
    """
    epoch, position = np.divmod(np.asarray(samples, dtype=np.uint64), np.uint64(n))
    key = _mix(_mix(np.full_like(epoch, seed % 2**64)) + epoch)
    half = np.uint64(max(1, ((n - 1).bit_length() + 1) // 2))
    permuted = _feistel(position, key, half)
    while (outside := permuted >= n).any():
        permuted[outside] = _feistel(permuted[outside], key[outside], half)
    return permuted.astype(np.int64)


def _feistel(number: NDArray[np.uint64], key: NDArray[np.uint64], half: np.uint64) -> NDArray[np.uint64]:
    """A permutation of the numbers of ``2 * half`` bits."""
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = number >> half, number & mask
    for turn in range(_ROUNDS):
        key = _mix(key + np.uint64(turn))
        left, right = right, left ^ (_mix(right + key) & mask)
    return (left << half) | right


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014), which spreads each bit over all."""
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class StepBatches(Sampler[Any]):
    """The windows of each micro-batch of one rank, from the step after ``consumed`` samples to the run's last.

    Step ``s`` consumes samples ``[s G, (s + 1) G)`` of the run, ``G = sequences_per_step``; rank ``r`` of ``W`` reads
    the ``r``-th of ``W`` equal slices of them, in order. So a step's windows depend on neither ``W`` nor micro-batch.
    ``order`` says which window a sample is: :func:`windows` of all, or a :class:`repro.data.mixture.Mixture`'s.

    Raises:
        DataError: ``micro_batch * world_size`` does not divide ``sequences_per_step``.
    """

    def __init__(
        self,
        order: Order,
        *,
        sequences_per_step: int,
        micro_batch: int,
        steps: int,
        rank: int = 0,
        world_size: int = 1,
        consumed: int = 0,
    ) -> None:
        if sequences_per_step % (micro_batch * world_size):
            raise DataError(
                f"{sequences_per_step} sequences a step do not divide into micro-batches of {micro_batch} "
                f"on {world_size} ranks: expected a multiple of {micro_batch * world_size}"
            )
        assert consumed % sequences_per_step == 0, "a run stops between steps"
        self.order, self.sequences_per_step, self.micro_batch = order, sequences_per_step, micro_batch
        self.steps, self.consumed = steps, consumed
        self.rank, self.world_size = rank, world_size

    def __len__(self) -> int:
        """Micro-batches of the whole run, also after a resume: Lightning counts those already done."""
        return self.steps * self.sequences_per_step // (self.micro_batch * self.world_size)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        share = self.sequences_per_step // self.world_size
        block = max(1, _BLOCK // share)  # steps
        for first in range(self.consumed // self.sequences_per_step, self.steps, block):
            steps = np.arange(first, min(first + block, self.steps), dtype=np.int64)
            own = self.rank * share + np.arange(share, dtype=np.int64)
            samples = steps[:, None] * self.sequences_per_step + own
            yield from self.order(samples).reshape(-1, self.micro_batch)
