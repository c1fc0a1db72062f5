"""Runs side by side: losses by arm and seed, differences to a baseline, curves and speed-ups."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from repro.claims.evidence.ran import Ran
from repro.claims.evidence.rows import Curve, Row
from repro.claims.statistics.curves import Line, Speedup, speedup
from repro.claims.statistics.noise import Noise, pooled
from repro.claims.statistics.paired import Estimate, paired

SKIPPED = 0.1  # of a curve's beginning, where losses fall so far that nothing else could be seen
Axis = Callable[[Row, Curve], tuple[float, ...]]
AXES: dict[str, Axis] = {
    "steps": lambda _, curve: curve.steps,
    "tokens": lambda _, curve: curve.tokens,
    "FLOPs": lambda row, curve: tuple(tokens * row.flops / row.tokens for tokens in curve.tokens),
    "time": lambda _, curve: curve.seconds,
}


@dataclass(frozen=True)
class Level:
    """Of the values of one arm over seeds."""

    mean: float
    sd: float | None
    n: int


def level(values: Sequence[float | None]) -> Level | None:
    """Mean and deviation of those that are there; None of none."""
    found = [value for value in values if value is not None]
    return Level(fmean(found), stdev(found) if len(found) > 1 else None, len(found)) if found else None


def arms(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Runs by arm, in the order in which arms come."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.arm, []).append(row)
    return found


def over(rows: Sequence[Row], arm: str, baseline: str) -> Estimate | None:
    """The paired difference of two arms' validation losses; None of fewer than two pairs or where a run diverged."""
    ours, theirs = ({row.seed: row.validation_loss for row in rows if row.arm == name} for name in (arm, baseline))
    pairs = [(ours[seed], theirs[seed]) for seed in sorted(ours.keys() & theirs.keys())]
    found = [a - b for a, b in pairs if a is not None and b is not None]
    return paired(found) if len(found) > 1 and len(found) == len(pairs) else None


def noise(rows: Sequence[Row]) -> Noise | None:
    """Of validation losses over seeds, pooled over arms and rates; None where no arm has two."""
    groups: dict[tuple[str, float], list[float]] = {}
    for row in rows:
        if row.validation_loss is not None:
            groups.setdefault((row.arm, row.factor), []).append(row.validation_loss)
    return pooled(list(groups.values())) if any(len(group) > 1 for group in groups.values()) else None


@dataclass(frozen=True)
class Sooner:
    """How much sooner one arm reaches the last loss of another.

    Attributes:
        by: what is spent, such as tokens; None of no pairs, or where a pair lacks a line.
        lacking: seeds at which a run diverged or has no curve. The others would favour the arm that diverged, so that
            one of them leaves no ratio at all.
    """

    by: dict[str, Speedup | None]
    lacking: tuple[int, ...]


def sooner(ran: Ran, rung: str, a: str, b: str) -> Sooner:
    """Arm ``a`` against ``b``, over the seeds that both have run."""
    lines = {arm: _by_seed(ran, rung, arm) for arm in (a, b)}
    ours, theirs = ({row.seed for row in ran.main(rung) if row.arm == arm} for arm in (a, b))
    found, lacking = dict[str, Speedup | None](), set[int]()
    for name, axis in AXES.items():
        pairs = {seed: [_line(lines[arm].get(seed), axis) for arm in (a, b)] for seed in sorted(ours & theirs)}
        whole = [(first, second) for first, second in pairs.values() if first and second]
        lacking |= {seed for seed, pair in pairs.items() if None in pair}
        found[name] = speedup(whole) if len(whole) == len(pairs) else None
    return Sooner(found, tuple(sorted(lacking)))


def averaged(ran: Ran, rung: str, *, train: bool = False) -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
    """Mean curves over seeds by arm: tokens and losses, without their beginning."""
    found = {}
    for arm in arms(ran.main(rung)):
        curves = [curve for _, curve in _by_seed(ran, rung, arm).values()]
        if points := _average(curves, train=train):
            first = SKIPPED * points[-1][0]
            kept = [point for point in points if point[0] >= first]
            found[arm] = (tuple(x for x, _ in kept), tuple(y for _, y in kept))
    return found


def _average(curves: Sequence[Curve], *, train: bool) -> list[tuple[float, float]]:
    """At the steps that all have; a run that diverged has none of the last, and ends the mean where it ends."""
    losses: dict[int, list[float]] = {}
    for curve in curves:
        for tokens, loss in zip(curve.tokens, curve.train_loss if train else curve.validation_loss, strict=True):
            if loss is not None:
                losses.setdefault(tokens, []).append(loss)
    return [(tokens, fmean(found)) for tokens, found in sorted(losses.items()) if len(found) == len(curves)]


def _by_seed(ran: Ran, rung: str, arm: str) -> dict[int, tuple[Row, Curve]]:
    curves = {(curve.arm, curve.rung, curve.seed, curve.factor): curve for curve in ran.results.curves}
    rows = [row for row in ran.main(rung) if row.arm == arm]
    found = {row.seed: (row, curves.get((row.arm, row.rung, row.seed, row.factor))) for row in rows}
    return {seed: (row, curve) for seed, (row, curve) in found.items() if curve is not None and curve.tokens}


def _line(of: tuple[Row, Curve] | None, axis: Axis) -> Line | None:
    """None of a curve that is none: of one point, or whose run diverged and so reached nothing."""
    if of is None:
        return None
    row, curve = of
    points = [(x, y) for x, y in zip(axis(row, curve), curve.validation_loss, strict=True) if y is not None and x > 0]
    if row.diverged_at is not None or len(points) < 2:
        return None
    return Line(tuple(x for x, _ in points), tuple(y for _, y in points))
