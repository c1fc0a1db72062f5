"""Which images a rank reads in which step: a function of the step, so that a resumed run needs nothing else.

An epoch is as many whole batches as there are images for; the rest of its permutation is left out, so that every batch
of a run lies in one epoch.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from repro.data.order import windows
from repro.errors import DataError

PADDING = -1  # the index of an image that is none


class Numbers(NamedTuple):
    """The images of a micro-batch, and the epoch they are read in."""

    epoch: int
    indices: NDArray[np.int64]


class EpochBatches(Sampler[Numbers]):
    """The images of each micro-batch of one rank, from the step after ``done`` steps to the run's last.

    Step ``s`` is batch ``s mod b`` of epoch ``s // b``, ``b = n_images // samples_per_step``; rank ``r`` of ``W`` reads
    the ``r``-th of ``W`` equal slices of it, in order. So a step's images depend on neither ``W`` nor micro-batch.

    Raises:
        DataError: ``micro_batch * world_size`` does not divide ``samples_per_step``, or an epoch has no whole batch.
    """

    def __init__(
        self,
        n_images: int,
        *,
        samples_per_step: int,
        micro_batch: int,
        steps: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        done: int = 0,
    ) -> None:
        self.n_images, self.samples_per_step, self.micro_batch = n_images, samples_per_step, micro_batch
        self.steps, self.seed, self.done = steps, seed, done
        self.rank, self.world_size = rank, world_size
        self.steps_per_epoch = steps_per_epoch(n_images, samples_per_step)
        if samples_per_step % (micro_batch * world_size):
            raise DataError(
                f"{samples_per_step} images a step do not divide into micro-batches of {micro_batch} "
                f"on {world_size} ranks: expected a multiple of {micro_batch * world_size}"
            )

    def __len__(self) -> int:
        """Micro-batches of the whole run, also after a resume: Lightning counts those already done."""
        return self.steps * self.samples_per_step // (self.micro_batch * self.world_size)

    def __iter__(self) -> Iterator[Numbers]:
        share = self.samples_per_step // self.world_size
        for step in range(self.done, self.steps):
            epoch, batch = divmod(step, self.steps_per_epoch)
            first = epoch * self.n_images + batch * self.samples_per_step + self.rank * share
            indices = windows(np.arange(first, first + share), self.n_images, self.seed)
            yield from (Numbers(epoch, own) for own in indices.reshape(-1, self.micro_batch))


def steps_per_epoch(n_images: int, samples_per_step: int) -> int:
    """Whole batches in an epoch.

    Raises:
        DataError: there is none.
    """
    if n_images < samples_per_step:
        raise DataError(
            f"{n_images} training images are fewer than budget.samples_per_step={samples_per_step}: "
            f"expected at most {n_images}"
        )
    return n_images // samples_per_step


def in_order(n_images: int, *, micro_batch: int, rank: int = 0, world_size: int = 1) -> list[Numbers]:
    """The share of one rank in an evaluation: every image once over all ranks, in order, then ``PADDING``.

    Each rank has as many whole micro-batches, since ranks step together; their images, one rank after the other and
    without padding, are the set.
    """
    share = -(-n_images // (world_size * micro_batch)) * micro_batch
    own = rank * share + np.arange(share)
    own[own >= n_images] = PADDING
    return [Numbers(0, indices) for indices in own.reshape(-1, micro_batch)]
