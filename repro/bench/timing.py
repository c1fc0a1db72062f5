"""Timing by turns: in every round each implementation runs once, so that whatever slows the machine slows them all."""

import math
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch

Key = TypeVar("Key", bound=Hashable)
Work = Callable[[], object]
LEAST, MOST = 20, 100  # rounds
WARM_UP = 3  # rounds that are not counted

# Four bytes each. Reading two gigabytes leaves nothing else in a cache of 50 MB, and takes the GPU long enough for the
# processor to have queued the work by the time it starts: what is timed is the GPU's time.
SCRATCH = 2**29


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call: the median and the 20th and 80th percentiles of ``rounds`` calls."""

    median: float
    low: float
    high: float
    rounds: int

    @property
    def spread(self) -> float:
        """The 80th percentile over the 20th: how much the machine varies."""
        return self.high / self.low if self.low else math.inf


class TurnFailed(Exception):
    """A turn that raised, by its ``key``; the cause is what it raised."""

    def __init__(self, key: Any) -> None:
        super().__init__(f"{key} failed while it was timed")
        self.key = key


class Clock(Protocol):
    """What times work on a device."""

    def now(self) -> float:
        """Seconds, from any beginning."""

    def time(self, work: Work) -> Callable[[], float]:
        """Start ``work`` with cold caches; its milliseconds can be asked for after :meth:`wait`."""

    def wait(self) -> None:
        """Until the device has done all that was started."""


class GpuClock:
    """CUDA events around each call on the current GPU."""

    def __init__(self) -> None:
        self._scratch = torch.zeros(SCRATCH, device="cuda")
        self._sum = torch.zeros((), device="cuda")

    def now(self) -> float:
        """Seconds of the processor's clock."""
        return time.perf_counter()

    def time(self, work: Work) -> Callable[[], float]:
        """Start ``work`` after the cache was filled with something else, by reading: written, it would still have to
        be carried to memory while the work runs."""
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.sum(self._scratch, 0, out=self._sum)
        start.record()
        work()
        end.record()
        return lambda: float(start.elapsed_time(end))

    def wait(self) -> None:
        """Until the GPU is idle."""
        torch.cuda.synchronize()


class CpuClock:
    """The processor's clock: work has ended when it returns. Caches are as the turn before left them."""

    def now(self) -> float:
        """Seconds."""
        return time.perf_counter()

    def time(self, work: Work) -> Callable[[], float]:
        """Do ``work``."""
        begun = self.now()
        work()
        milliseconds = 1000 * (self.now() - begun)
        return lambda: milliseconds

    def wait(self) -> None:
        """Nothing is under way."""


def interleaved(turns: Mapping[Key, Callable[[], Work]], clock: Clock, *, seconds: float) -> dict[Key, Timing]:
    """Time every turn as :func:`rounds` does.

    Raises:
        TurnFailed: one of them raised.
    """
    return {key: summary(each) for key, each in rounds(turns, clock, seconds=seconds).items()}


def rounds(turns: Mapping[Key, Callable[[], Work]], clock: Clock, *, seconds: float) -> dict[Key, list[float]]:
    """Milliseconds of every turn, once a round, for ``seconds`` but for 20 rounds at least and 100 at most.

    A turn prepares, which is not timed, and returns the work that is.

    Raises:
        TurnFailed: one of them raised.
    """
    for _ in range(WARM_UP):
        _round(turns, clock)
    samples: dict[Key, list[float]] = {key: [] for key in turns}
    end = clock.now() + seconds
    for number in range(MOST):
        if number >= LEAST and clock.now() > end:
            break
        for key, milliseconds in _round(turns, clock).items():
            samples[key].append(milliseconds)
    return samples


def _round(turns: Mapping[Key, Callable[[], Work]], clock: Clock) -> dict[Key, float]:
    started = {key: _started(key, prepare, clock) for key, prepare in turns.items()}
    clock.wait()
    return {key: milliseconds() for key, milliseconds in started.items()}


def _started(key: Key, prepare: Callable[[], Work], clock: Clock) -> Callable[[], float]:
    try:
        return clock.time(prepare())
    except Exception as error:
        raise TurnFailed(key) from error


def summary(milliseconds: list[float]) -> Timing:
    """The timing that samples make."""
    low, _, _, high = statistics.quantiles(milliseconds, n=5, method="inclusive")
    return Timing(statistics.median(milliseconds), low, high, len(milliseconds))
