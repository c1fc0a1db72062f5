"""The benchmarks' figures as lines of at most 120 columns, printed as they come, to a terminal or into a file."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console

from repro.bench.measurement import CEILING, LEAST_BYTES, SCALES, Case, Errors, Look, Measurement
from repro.bench.targets import Verdict

WAYS = tuple(LEAST_BYTES)
COLUMNS = 120


def say(console: Console, text: str) -> None:
    """One line, as it is: neither wrapped nor coloured."""
    console.print(text, highlight=False, soft_wrap=True, markup=False)


def digits(value: float | None, width: int) -> str:
    """Four digits without an exponent where they fit, right-aligned; a dash where there is no value."""
    if value is None:
        return f"{'-':>{width}}"
    return f"{value:>{width}.0f}" if value >= 1000 else f"{value:>{width}.4g}"


def print_errors(console: Console, case: Case, errors: Errors) -> None:
    """A case's errors, in one line."""
    say(console, f"{case!s:30s} y {errors.y:.1e}  dx {errors.dx:.1e}  dcoeff {errors.dcoeff:.1e}  within the budget")


def print_plan(console: Console, plan: Mapping[Case, Sequence[str]]) -> None:
    """What would be measured at each case."""
    for case, names in plan.items():
        say(console, f"{case!s:30s} x and y {case.working_set / 1e6:.0f} MB: {'; '.join(names)}")


def print_case(console: Console, measurements: Sequence[Measurement]) -> None:
    """A case's measurements, a line an implementation."""
    case = measurements[0].case
    say(console, f"\n{case}, x and y {case.working_set / 1e6:.0f} MB, {_limits(measurements)}")
    say(console, _spread(measurements))
    times = "".join(f"{way:>10s}{'%':>6s}" for way in WAYS)
    say(console, f"{'':20s}{times}{'launches':>9s}{'peak':>6s}{'kept':>6s}{'y':>8s}{'dx':>8s}{'dcoeff':>8s}  bits")
    by_name: dict[str, dict[str, Measurement]] = {}
    for measurement in measurements:
        if measurement.implementation != CEILING:
            by_name.setdefault(measurement.implementation, {})[measurement.direction] = measurement
    for name, ways in by_name.items():
        say(console, _line(name, ways))
    _print_recompilations(console, case, [ways["forward"] for ways in by_name.values()])


def print_legend(console: Console, *, narrowest: int) -> None:
    """What the columns are, and how near the ceiling a row of ``narrowest`` columns can come."""
    caps = [
        f"{100 * LEAST_BYTES[way] * narrowest / (LEAST_BYTES[way] * narrowest + SCALES):.1f} % {way}"
        for way in ("forward", "backward")
    ]
    say(
        console,
        f"""
Times are milliseconds, medians; % is of the speed of the ceiling, which is measured in the same rounds.
launches: kernels forward + backward. peak: bytes per element of x, above x and dy. kept: bytes per
element saved for the backward pass, x among them. y, dx, dcoeff: errors against float64 (relative, L2).
bits: whether ten runs of both passes gave the same.
The scales of our PolyNorm, {SCALES} bytes a row, cap its share at {narrowest} columns at {" and ".join(caps)}.""",
    )


def print_targets(console: Console, verdicts: Iterable[Verdict]) -> None:
    """The targets, and below each what was found."""
    say(console, "\nTargets")
    for verdict in verdicts:
        say(console, f"  {verdict.outcome:12s} {verdict.target}")
        say(console, f"    {verdict.found:.{COLUMNS - 4}s}")


def _limits(measurements: Sequence[Measurement]) -> str:
    speeds = [
        f"{measurement.direction} {measurement.gb_per_s:.0f} GB/s ({measurement.note})"
        for measurement in measurements
        if measurement.implementation == CEILING and measurement.gb_per_s
    ]
    return f"ceiling {', '.join(speeds)}"


def _spread(measurements: Sequence[Measurement]) -> str:
    """How much the machine varies, so that differences below it are not taken for any."""
    spreads = [(m.timing.spread, m) for m in measurements if m.timing]
    if not spreads:
        return "nothing was timed"
    most, where = max(spreads, key=lambda pair: pair[0])
    rounds = where.timing.rounds if where.timing else 0
    return f"largest spread p80/p20: {most:.3f} ({where.implementation}, {where.direction}) in {rounds} rounds"


def _line(name: str, ways: Mapping[str, Measurement]) -> str:
    forward = ways["forward"]
    if forward.timing is None:
        return f"{name:20s}  {forward.note:.{COLUMNS - 22}s}"
    return f"{name:20s}{_times(ways)}{_look(forward.look, forward.case.elements)}"


def _print_recompilations(console: Console, case: Case, each: Sequence[Measurement]) -> None:
    told = [f"{m.implementation} {m.look.recompilations}" for m in each if m.look and m.look.recompilations]
    if told:
        say(console, f"recompilations at {case.width:,} columns, of the numbers of tokens tried after the first:")
        say(console, textwrap.fill("; ".join(told), COLUMNS, initial_indent="  ", subsequent_indent="  "))


def _times(ways: Mapping[str, Measurement]) -> str:
    each = (ways[way] for way in WAYS)
    return "".join(
        f"{digits(way.timing.median if way.timing else None, 10)}{'-' if way.share is None else f'{way.share:.1f}':>6s}"
        for way in each
    )


def _look(look: Look | None, elements: int) -> str:
    if look is None:
        return ""
    launches = "+".join("?" if count is None else str(count) for count in look.launches)
    memory = f"{look.peak / elements:>6.1f}{look.kept / elements:>6.2f}"
    found = "".join(f"{error:>8.1e}" for error in (look.errors.y, look.errors.dx, look.errors.dcoeff))
    return f"{launches:>9s}{memory}{found}  {'same' if look.deterministic else 'vary'}"
