"""What the logged numbers of a run come to."""

import math
from collections.abc import Mapping, Sequence
from statistics import mean, median, stdev

Points = list[tuple[int, float]]  # steps with a value
Metrics = Sequence[Mapping[str, str]]

TWENTIETH, TENTH = 20, 10
SPIKE, BEFORE = 6.0, 20  # deviations above the mean of so many logged losses before


def logged(metrics: Metrics, column: str) -> Points:
    """The steps that have a value in a column, with it."""
    return [(int(row["step"]), float(row[column])) for row in metrics if row.get(column)]


def last_twentieth(points: Points, steps: int, *, until: int | None = None) -> float | None:
    """The mean over a twentieth of all ``steps``, those that end with ``until``; None if there is no finite one.

    Where none is logged within that, it is the last before.
    """
    end = steps if until is None else until
    before = [(step, value) for step, value in points if step <= end]
    within = [value for step, value in before if step > end - steps / TWENTIETH] or [value for _, value in before[-1:]]
    return mean(within) if within and all(map(math.isfinite, within)) else None


def speed(points: Points, steps: int) -> float | None:
    """The median after the first tenth of all ``steps``, in which a run compiles and warms up; else of all."""
    late = [value for step, value in points if step > steps / TENTH] or [value for _, value in points]
    return median(late) if late else None


def spikes(points: Points) -> int:
    """Losses ``SPIKE`` deviations above the mean of the ``BEFORE`` before; one that is not finite is one."""
    losses = [value for _, value in points]
    return sum(_is_spike(losses[at - BEFORE : at], losses[at]) for at in range(BEFORE, len(losses)))


def _is_spike(before: Sequence[float], loss: float) -> bool:
    if not math.isfinite(loss):
        return True
    return all(map(math.isfinite, before)) and loss > mean(before) + SPIKE * stdev(before)


def largest(points: Points) -> float | None:
    """None where nothing is logged; infinite where one was not finite."""
    values = [value if math.isfinite(value) else math.inf for _, value in points]
    return max(values, default=None)


def thinned(points: Points, most: int) -> Points:
    """At most so many, evenly, with the first and the last."""
    if len(points) <= most:
        return points
    return [points[round(index * (len(points) - 1) / (most - 1))] for index in range(most)]
