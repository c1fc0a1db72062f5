"""Which learning rate an arm is measured at: the best of its bracket, on a seed that is not measured."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from repro.claims.evidence.rows import Row


@dataclass(frozen=True)
class Choice:
    """Of one arm at one size.

    Attributes:
        factor, lr: the best; the factor is of the recipe's own rate.
        losses: by factor in ascending order, the last validation's; infinite of a run that diverged.
        at_edge: whether the best is the smallest or the largest that was tried, so that a better may lie beyond.
    """

    factor: float
    lr: float
    losses: dict[float, float]
    at_edge: bool


def chosen(rows: Iterable[Row], arm: str, rung: str) -> Choice:
    """The best of an arm's bracket.

    Raises:
        ValueError: no run of a bracket is among the rows.
    """
    bracket = [row for row in rows if (row.role, row.arm, row.rung) == ("bracket", arm, rung)]
    if not bracket:
        raise ValueError(f"no bracket of {arm} at {rung} has run")
    losses = {factor: _mean(bracket, factor) for factor in sorted({row.factor for row in bracket})}
    best = min(losses, key=lambda factor: losses[factor])
    lr = next(row.lr for row in bracket if row.factor == best)
    return Choice(best, lr, losses, at_edge=best in {min(losses), max(losses)})


def _mean(bracket: Iterable[Row], factor: float) -> float:
    losses = [_loss(row) for row in bracket if row.factor == factor]
    return sum(losses) / len(losses)


def _loss(row: Row) -> float:
    """A diverged run is as bad as can be."""
    return math.inf if row.diverged_at is not None or row.validation_loss is None else row.validation_loss
