"""What the arms of a study came to and what they cost: losses, noise, speed, memory, divergences, speed-ups, sizes."""

from collections.abc import Sequence

from repro.claims.evidence.ran import Ran
from repro.claims.evidence.rows import Row
from repro.claims.report import numbers, pairs
from repro.claims.report.blocks import Block, Line, Table, Text
from repro.claims.statistics import association, scaling
from repro.claims.statistics.curves import Speedup
from repro.recipe.display import duration, short

HOUR = 3600


def levels(ran: Ran, rung: str) -> list[Block]:
    """Each arm's loss over seeds, and the noise that they share."""
    rows = ran.main(rung)
    header = ["arm", " runs", " FFN matrices", " learning rate", " validation loss", " sd", " training loss"]
    images = any(row.top1 is not None for row in rows)
    header += [" top 1, %"] if images else []
    table = [_level(name, of, images) for name, of in _alike(ran, rows).items()]
    where = numbers.size(ran.study, ran.form, rung)
    caption = (
        f"{where}: mean over seeds and its standard deviation, {numbers.unit('validation_loss', ran.study.family)}"
    )
    noise = pairs.noise(rows)
    if noise is None:
        told = "One seed an arm: there is no noise floor to tell."
    else:
        told = (
            f"Noise floor: seeds move a loss by {numbers.nats(noise.sd)} (standard deviation pooled over arms, 95 % "
            f"interval {numbers.nats(noise.low)} to {numbers.nats(noise.high)}, {noise.degrees} degrees of freedom)."
        )
    return [Table(caption, tuple(header), tuple(table)), Text(told)]


def _alike(ran: Ran, rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Runs that differ in their seed alone: those of an arm, of a sweep at one rate."""
    groups = pairs.arms(rows)
    if not ran.study.sweep:
        return groups
    return {f"{row.arm} at {row.lr:.3g}": [r for r in groups[row.arm] if r.factor == row.factor] for row in rows}


def _level(arm: str, rows: Sequence[Row], images: bool) -> tuple[Line, ...]:
    loss = pairs.level([row.validation_loss for row in rows])
    train = pairs.level([row.train_loss for row in rows])
    right = pairs.level([row.top1 for row in rows])
    cells = [
        arm,
        str(len(rows)),
        "" if rows[0].ffn_matrices is None else f"{rows[0].ffn_matrices:,}",
        numbers.listed(f"{row.lr:.3g}" for row in rows),
        numbers.nats(loss.mean if loss else None),
        numbers.nats(loss.sd if loss else None),
        numbers.nats(train.mean if train else None),
    ]
    return tuple([*cells, f"{100 * right.mean:.2f}" if right else ""] if images else cells)


def costs(ran: Ran, rung: str) -> Table:
    """What the runs took, and how many did not end."""
    things = "images" if ran.study.family in ("resnet50", "mlp") else "tokens"
    header = ("arm", " parameters", " FLOPs a run", f" {things}/s", " memory, GB", " a run took",
              " diverged", " skipped steps", " spikes")  # fmt: skip
    rows = [row for row in ran.results.rows if row.rung == rung]
    took = sum(row.seconds or 0.0 for row in rows) / HOUR
    where = numbers.size(ran.study, ran.form, rung)
    caption = (
        f"{where}: cost on {numbers.listed(row.device for row in rows)}; all {len(rows)} runs together {duration(took)}"
    )
    return Table(caption, header, tuple(_cost(arm, of) for arm, of in pairs.arms(ran.main(rung)).items()))


def _cost(arm: str, rows: Sequence[Row]) -> tuple[Line, ...]:
    speed, memory, time = (
        pairs.level([getattr(row, name) for row in rows]) for name in ("tokens_per_second", "memory_gb", "seconds")
    )
    return (
        arm,
        f"{rows[0].parameters:,}",
        f"{max(row.flops for row in rows):.3g}",
        f"{speed.mean:,.0f}" if speed else "",
        f"{memory.mean:.2f}" if memory else "",
        duration(time.mean / HOUR) if time else "",
        f"{sum(row.diverged_at is not None for row in rows)} of {len(rows)}",
        str(sum(row.skipped_steps for row in rows)),
        str(sum(row.spikes for row in rows)),
    )


def sooner(ran: Ran, rung: str) -> list[Block]:
    """How much sooner the arm that is stated to be lower reaches the other's last loss."""
    if ran.study.sweep:
        return []
    stated = [each for each in ran.study.comparisons if each.measure == "validation_loss" and each.says != "~"]
    rows = []
    for each in stated:
        a, b = (each.a, each.b) if each.says == "<" else (each.b, each.a)
        found = pairs.sooner(ran, rung, a, b)
        if found.lacking or any(found.by.values()):
            rows.append((f"{a} over {b}", *(_speedup(found.by[axis]) for axis in pairs.AXES), _pairs(found)))
    if not rows:
        return []
    caption = (
        f"{numbers.size(ran.study, ran.form, rung)}: what the second spent to reach its last loss, over what the first "
        "spent to reach it; above 1 the first is sooner. Geometric mean over pairs with its 95 % interval; none where "
        "a run of a pair diverged or has no curve"
    )
    return [Table(caption, ("arms", *(f" {axis}" for axis in pairs.AXES), " pairs"), tuple(rows))]


def _speedup(found: Speedup | None) -> str:
    if found is None:
        return ""
    return f"{found.ratio:.2f}" + ("" if found.low is None else f" [{found.low:.2f}, {found.high:.2f}]")


def _pairs(found: pairs.Sooner) -> str:
    if found.lacking:
        return f"no line at seed{'s' if len(found.lacking) > 1 else ''} {numbers.listed(found.lacking)}"
    return str(max(each.n for each in found.by.values() if each is not None))


def law(ran: Ran) -> list[Block]:
    """Loss against size of each arm, fitted; nothing of fewer than three sizes."""
    fits = [(arm, fit) for arm in ran.study.arms if (fit := _fit(ran, arm)) is not None]
    rows = tuple(
        (arm, *(_parameter(each) for each in (fit.floor, fit.factor, fit.exponent)), numbers.probability(fit.misfit))
        for arm, fit in fits
    )
    if not rows:
        return []
    caption = (
        "L(N) = E + A N^-alpha over millions of parameters, by least squares; 95 % intervals from the noise of seeds"
    )
    return [Table(caption, ("arm", " E, nats", " A, nats", " alpha", " p of misfit"), rows)]


def _fit(ran: Ran, arm: str) -> scaling.Fit | None:
    points: dict[float, list[float]] = {}
    for row in ran.results.rows:
        if (row.role, row.arm) == ("main", arm) and row.validation_loss is not None:
            points.setdefault(row.parameters / 1e6, []).append(row.validation_loss)
    return scaling.fit(list(points), list(points.values()))


def _parameter(of: scaling.Parameter) -> str:
    value = "none" if of.value is None else f"{of.value:.3g}"
    return f"{value} [{of.low:.3g}, {of.high:.3g}]"


def ranks(ran: Ran, rung: str) -> list[Block]:
    """Whether loss goes with rank where the activation stays, in a study that moves ranks by hand."""
    groups: dict[str, list[tuple[float, float]]] = {}
    for row in ran.main(rung):
        if row.normalised_rank is not None and row.validation_loss is not None:
            activation = ran.study.arms[row.arm].activation if row.arm in ran.study.arms else row.arm
            groups.setdefault(activation, []).append((row.normalised_rank, row.validation_loss))
    if len(groups) == len(ran.study.arms):
        return []  # each activation has one arm: what is left inside it is noise
    try:
        slope = association.within(groups)
    except ValueError:
        return []
    return [
        Text(
            f"Inside activations, {short(slope.n)} runs at {rung}: loss changes by {numbers.signed(slope.slope)} nats "
            f"{numbers.interval(slope.low, slope.high)} for one unit of normalised rank, "
            f"p {numbers.probability(slope.p)}."
        )
    ]
