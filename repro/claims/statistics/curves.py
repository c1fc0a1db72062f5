"""How much sooner one run reaches a loss than another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from repro.claims.statistics.paired import paired
from repro.claims.statistics.values import finite


@dataclass(frozen=True)
class Line:
    """Losses of a run as it trains.

    Attributes:
        x: what was spent, in steps, tokens, FLOPs or seconds: above 0, rising.
        loss: in nats, of an evaluation on data that is not trained on.

    Raises:
        ValueError: of fewer than two points, of lengths that differ, of numbers that are not finite (a run that
            diverged reaches no loss: count it apart), or of ``x`` that does not rise from above 0.
    """

    x: tuple[float, ...]
    loss: tuple[float, ...]

    def __post_init__(self) -> None:
        finite(self.loss, "losses of a line")
        if len(finite(self.x, "points of a line")) != len(self.loss):
            raise ValueError(f"a line of {len(self.x)} points has {len(self.loss)} losses")
        if self.x[0] <= 0 or any(after <= before for before, after in zip(self.x, self.x[1:], strict=False)):
            raise ValueError("the points of a line have to rise from above 0")


@dataclass(frozen=True)
class Speedup:
    """Of ``a`` over ``b``: above 1 where ``a`` is sooner.

    Attributes:
        ratio: geometric mean over pairs.
        low, high: its 95 % interval, by Student's t of the logarithms; None of one pair.
        by_pair: in the order given.
        n: pairs.
    """

    ratio: float
    low: float | None
    high: float | None
    by_pair: tuple[float, ...]
    n: int


def speedup(pairs: Sequence[tuple[Line, Line]]) -> Speedup | None:
    """What ``b`` spent to reach its last loss, over what ``a`` spent to reach that loss; None of no pairs.

    Each line is first made one that never rises (isotonic regression), and read between its points by straight lines.
    Where ``a`` never gets there, ``b`` is the sooner one, and the pair counts the other way round: what ``b`` spent to
    reach the last loss of ``a``, over what ``a`` spent, which is below 1. So no pair is left out, and exchanging the
    arms inverts the ratio. One that is there at its first point counts with that point, which understates it.

    Under a schedule that decays, losses of two runs compare at their ends alone: in the middle the rate is still high,
    so the sooner one would have been there earlier still, had its schedule ended there. The ratio understates it.
    """
    if not pairs:
        return None
    by_pair = tuple(_ratio(_falling(a), _falling(b)) for a, b in pairs)
    logs = [math.log(ratio) for ratio in by_pair]
    if len(logs) == 1:
        return Speedup(by_pair[0], None, None, by_pair, 1)
    found = paired(logs)
    return Speedup(math.exp(found.mean), math.exp(found.low), math.exp(found.high), by_pair, found.n)


Falling = tuple[list[float], list[float]]  # x, loss


def _ratio(a: Falling, b: Falling) -> float:
    (x_a, loss_a), (x_b, loss_b) = a, b
    if loss_a[-1] > loss_b[-1]:
        return 1 / _ratio(b, a)
    return x_b[-1] / float(np.interp(-loss_b[-1], -np.array(loss_a), x_a))


def _falling(line: Line) -> Falling:
    """The nearest line that falls: neighbours that do not are pooled, into the mean of their losses and of their x."""
    blocks: list[tuple[float, float, int]] = []  # x, loss, points
    for point, loss in zip(line.x, line.loss, strict=True):
        block = (point, loss, 1)
        while blocks and blocks[-1][1] <= block[1]:
            before = blocks.pop()
            n = before[2] + block[2]
            x, mean = ((before[i] * before[2] + block[i] * block[2]) / n for i in (0, 1))
            block = (x, mean, n)
        blocks.append(block)
    return [x for x, _, _ in blocks], [loss for _, loss, _ in blocks]
