"""How large a learning rate an arm stands: of a sweep over factors, seed by seed."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from repro.claims.evidence.rows import Row

WORSE = 0.5  # nats above the loss at the recipe's own rate (ours): by then training is no longer what it was
NONE = 0.0  # where no factor of the sweep is stable


def with_stable_factors(rows: Iterable[Row], sweep: Sequence[float]) -> tuple[Row, ...]:
    """The rows, those of a sweep that is whole with their ``largest_stable_factor``.

    That is the largest factor of the sweep whose run did not diverge and ended at most ``WORSE`` above the run at the
    recipe's own rate, of the same arm, size and seed. Where that run diverged itself, nothing is stable.
    """
    rows = tuple(rows)
    groups: dict[tuple[str, str, int], dict[float, Row]] = defaultdict(dict)
    for row in rows:
        if row.role == "main":
            groups[row.rung, row.arm, row.seed][row.factor] = row
    found = {key: _largest(runs, sweep) for key, runs in groups.items()}
    return tuple(
        replace(row, largest_stable_factor=found[row.rung, row.arm, row.seed]) if row.role == "main" else row
        for row in rows
    )


def _largest(runs: dict[float, Row], sweep: Sequence[float]) -> float | None:
    """None while a run of the sweep, or the one at the recipe's own rate, is missing."""
    if not sweep or not runs.keys() >= {1.0, *sweep}:
        return None
    own = _loss(runs[1.0])
    losses = {factor: _loss(runs[factor]) for factor in sweep}
    stable = [factor for factor, loss in losses.items() if own is not None and loss is not None and loss <= own + WORSE]
    return max(stable, default=NONE)


def _loss(row: Row) -> float | None:
    return None if row.diverged_at is not None else row.validation_loss
