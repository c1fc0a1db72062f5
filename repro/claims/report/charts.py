"""The figures of a study: intervals of its comparisons, learning rates, curves and what size does to a loss."""

import math
from collections.abc import Sequence
from dataclasses import replace

from repro.claims.evidence.choice import Choice, chosen
from repro.claims.evidence.ran import Ran
from repro.claims.evidence.rows import Row
from repro.claims.evidence.verdicts import Verdict
from repro.claims.report import numbers, pairs
from repro.claims.report.blocks import Figure
from repro.claims.report.looks import Look, looks
from repro.claims.report.svg import Bar, Series, intervals, lines

MOST = 12  # arms that one figure can tell apart


def named(*parts: str) -> str:
    """A figure's file, by what it shows."""
    return "-".join(part.replace("/", "-").replace("_", "-") for part in parts)


def verdicts(ran: Ran) -> list[Figure]:
    """The intervals of every comparison that has one, a figure for each measure."""
    found: dict[str, list[Verdict]] = {}
    for verdict in ran.verdicts:
        if verdict.estimate is not None:
            found.setdefault(verdict.comparison.measure, []).append(verdict)
    return [_verdicts(ran, measure, of) for measure, of in found.items()]


def _verdicts(ran: Ran, measure: str, of: Sequence[Verdict]) -> Figure:
    bars = [_bar(verdict) for verdict in of]
    title = f"{ran.study.name}: {measure.replace('_', ' ')} at {_stamped(ran)}"
    alt = f"{title}: differences in {measure} with 95 % intervals: " + "; ".join(
        f"{verdict.comparison.text} at {verdict.rung} {numbers.estimated(verdict.estimate)}"
        for verdict in of
        if verdict.estimate
    )
    label = f"a - b, {numbers.unit(measure, ran.study.family)}"
    drawn = intervals(bars, title=title, x_label=label, alt=alt)
    caption = "Mean of paired differences with its 95 % interval; hollow and dashed where it decides nothing."
    return Figure(named(ran.study.name, ran.form, measure), drawn, alt, caption)


def _bar(verdict: Verdict) -> Bar:
    estimate = verdict.estimate
    assert estimate is not None
    decided = verdict.status in ("supported", "contradicted") and not verdict.mechanism_only
    stated = f"{verdict.comparison.a} {verdict.comparison.says} {verdict.comparison.b}"  # the title has the measure
    name = f"{stated}, {verdict.rung}: {verdict.status}"
    return Bar(name, estimate.low, estimate.mean, estimate.high, faint=not decided)


def rates(ran: Ran, rung: str) -> Figure | None:
    """Loss over learning rate of each arm, the best ringed; None where one rate was tried."""
    choices = _choices(ran, rung)
    if not choices:
        return None
    look = looks(choices)
    drawn = [_rates(arm, choice, look[arm]) for arm, choice in choices.items()]
    edges = [arm for arm, choice in choices.items() if choice.at_edge]
    said = f" At an edge of those tried, so that a better may lie beyond: {', '.join(edges)}." if edges else ""
    title = f"learning rates, {rung}{_stamp(ran)}"
    alt = f"{title}: validation loss over the learning rate of {', '.join(choices)}.{said}"
    ticks = sorted({x for series in drawn for x in series.x})
    svg = lines(
        drawn,
        title=title,
        x_label="factor of the recipe's learning rate",
        y_label=numbers.unit("validation_loss", ran.study.family),
        alt=alt,
        log_x=True,
        x_ticks=ticks,
    )
    how = "the mean over seeds" if ran.study.sweep else "on a seed that is not measured"
    caption = f"Each arm at each rate, {how}; the best is ringed.{said} Rates at which a run diverged are left out."
    return Figure(named(ran.study.name, ran.form, rung, "rates"), svg, alt, caption)


def _choices(ran: Ran, rung: str) -> dict[str, Choice]:
    rows = _swept(ran, rung) if ran.study.sweep else list(ran.results.rows)
    there = {row.arm for row in rows if (row.role, row.rung) == ("bracket", rung)}
    found = {arm: chosen(rows, arm, rung) for arm in list(ran.study.arms)[:MOST] if arm in there}
    return {arm: choice for arm, choice in found.items() if sum(map(math.isfinite, choice.losses.values())) > 0}


def _swept(ran: Ran, rung: str) -> list[Row]:
    """Of a sweep, whose measured runs are at every rate."""
    return [replace(row, role="bracket") for row in ran.main(rung)]


def _rates(arm: str, choice: Choice, look: Look) -> Series:
    points = [(factor, loss) for factor, loss in choice.losses.items() if math.isfinite(loss)]
    xs, ys = tuple(x for x, _ in points), tuple(y for _, y in points)
    return Series(arm + (" (edge)" if choice.at_edge else ""), xs, ys, look, ringed=xs.index(choice.factor))


def curves(ran: Ran, rung: str) -> Figure | None:
    """Mean validation loss of each arm as it trains; None where no curve is kept."""
    if ran.study.sweep:
        return None  # runs of one seed differ in their rates
    found = {arm: line for arm, line in pairs.averaged(ran, rung).items() if len(line[0]) > 1}
    if not found:
        return None
    look = looks(found)
    title = f"validation loss, {rung}{_stamp(ran)}"
    what = "images" if ran.study.family in ("resnet50", "mlp") else "tokens"
    alt = f"{title}: mean over seeds of {', '.join(found)}; it ends at " + ", ".join(
        f"{arm} {line[1][-1]:.4f}" for arm, line in found.items()
    )
    drawn = [Series(arm, *line, look[arm]) for arm, line in list(found.items())[:MOST]]
    label = numbers.unit("validation_loss", ran.study.family)
    svg = lines(drawn, title=title, x_label=what, y_label=label, alt=alt)
    caption = "Mean over seeds, without the first tenth. Under a decaying rate only the ends compare."
    return Figure(named(ran.study.name, ran.form, rung, "curves"), svg, alt, caption)


def sizes(ran: Ran) -> Figure | None:
    """Loss over parameters of each arm; None of one size."""
    over = {arm: [point for rung in ran.rungs if (point := _point(ran, rung, arm))] for arm in ran.study.arms}
    found = {arm: points for arm, points in over.items() if len(points) > 1}
    if not found:
        return None
    look = looks(found)
    drawn = []
    for arm, points in found.items():
        parameters, losses, deviations = (tuple(values) for values in zip(*points, strict=True))
        drawn.append(Series(arm, parameters, losses, look[arm], spread=deviations))
    title = f"{ran.study.name}: loss over size{_stamp(ran)}"
    alt = f"{title}, of {', '.join(found)} at {', '.join(ran.rungs)}"
    label = numbers.unit("validation_loss", ran.study.family)
    svg = lines(drawn, title=title, x_label="parameters", y_label=label, alt=alt, log_x=True)
    caption = "Means over seeds; bars are one standard deviation over seeds to each side."
    return Figure(named(ran.study.name, ran.form, "sizes"), svg, alt, caption)


def _point(ran: Ran, rung: str, arm: str) -> tuple[float, float, float] | None:
    rows = [row for row in ran.main(rung) if row.arm == arm]
    level = pairs.level([row.validation_loss for row in rows])
    return (float(rows[0].parameters), level.mean, level.sd or 0.0) if level else None


def _stamp(ran: Ran) -> str:
    return (
        f", {numbers.STAMP}"
        if ran.mechanism_only and ran.form in ran.rungs
        else (f", {ran.form}: {numbers.STAMP}" if ran.mechanism_only else "")
    )


def _stamped(ran: Ran) -> str:
    return f"{ran.form}, {numbers.STAMP}" if ran.mechanism_only else ran.form
