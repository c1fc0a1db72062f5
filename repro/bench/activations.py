"""How fast PolyNorm and PolyReLU are: every implementation side by side, against what the memory allows."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from repro.bench import agreement, cost, recompilation, roofline, tables, targets
from repro.bench.agreement import Truth
from repro.bench.measurement import CEILING, LEAST_BYTES, Case, Inputs, Look, Measurement
from repro.bench.peers import FUNCTIONS, OURS, Bound, Peer, absent, first_line, peers, versions
from repro.bench.rows import about, append, expect, writable
from repro.bench.timing import LEAST, MOST, Clock, GpuClock, Timing, TurnFailed, Work, interleaved

# Numbers of rows that users have as tokens or pixels, such that x and y are 512 to 805 MB: far above any cache.
ROWS = {64: 2**21, 256: 2**19, 1536: 2**17, 8256: 2**14, 10944: 2**14, 16384: 2**13, 32768: 2**12}
CASES = [Case(function, width, rows) for function in FUNCTIONS for width, rows in ROWS.items()]
CHECKED = {"cuda": 2**22, "cpu": 2**13}  # elements that are checked before anything is timed
SECONDS = 2.5  # of rounds for a case
LIMIT = 450.0  # seconds after which no case is begun, so that the last one ends within nine minutes
FILE, PICTURE = "bench-activations.csv", "activations.png"

Key = tuple[str, str]  # an implementation or a mover, and the direction
Turn = Callable[[], Work]


def start(out: Path | None, console: Console) -> None:
    """Check, then measure, print, append to ``bench-activations.csv`` and draw ``activations.png``.

    Without a GPU the check runs in Triton's interpreter, and it is told what would be measured.

    Raises:
        CheckFailed: a kernel of ours is not right, and no speed is told.
    """
    begun = time.perf_counter()
    device = agreement.place()
    if out:
        expect(out / FILE, Measurement(CASES[0], OURS, "forward").row() | versions())  # now, not after minutes
        writable(out / PICTURE)
    _agree(device, console)
    for name, reason in absent().items():
        tables.say(console, f"{name}: absent, {reason}")
    if device.type == "cpu":
        _plan(out, console)
    else:
        _report(device, begun, out, console)


def _agree(device: torch.device, console: Console) -> None:
    tables.say(
        console, f"Our kernels in bfloat16 on {agreement.name(device)}, errors against float64 (relative, L2):\n"
    )
    for case in CASES:
        rows = min(case.rows, CHECKED[device.type] // case.width + 3)  # and not a multiple of anything
        small = replace(case, rows=rows)
        tables.print_errors(console, small, agreement.check(small, device))


def _plan(out: Path | None, console: Console) -> None:
    """What a GPU would be asked."""
    tables.say(
        console, "\nThere is no GPU here. On one this would be measured, each by turns with the others: forward,"
    )
    tables.say(
        console, f"backward and both, in {LEAST} to {MOST} rounds a case; in all about nine minutes at most on an H100."
    )
    if out:
        tables.say(console, "With --out too nothing is written without a GPU.")
    tables.say(console, "")
    tables.print_plan(console, {case: [peer.name for peer in peers(case.function)] for case in CASES})


def _report(device: torch.device, begun: float, out: Path | None, console: Console) -> None:
    tables.print_legend(console, narrowest=min(ROWS))
    measured: list[Measurement] = []
    for measurements in _measured(device, begun, console):
        tables.print_case(console, measurements)
        measured += measurements
        if out:
            append(out / FILE, [measurement.row() | versions() for measurement in measurements])
    tables.print_targets(console, targets.verdicts(measured, CASES, absent()))
    if out:
        roofline.draw(measured, out / PICTURE, title=_title())


def _title() -> str:
    of = about()
    return f"{of['device']}, bfloat16, torch {of['torch']}, Triton {of['triton']}, {of['date']}"


def _measured(device: torch.device, begun: float, console: Console) -> Iterator[list[Measurement]]:
    clock = GpuClock()
    for case in CASES:
        if time.perf_counter() - begun > LIMIT:
            tables.say(console, f"{case}: not measured, {LIMIT:.0f} seconds have passed")
            continue
        yield measure(case, clock, device)


def measure(case: Case, clock: Clock, device: torch.device, *, seconds: float = SECONDS) -> list[Measurement]:
    """Every implementation at one case, in each direction, and the ceilings that were measured in the same rounds.

    An implementation that fails is a result; ours may not.
    """
    torch.compiler.reset()  # or torch.compile gives up after eight shapes
    given = agreement.inputs(case, device)
    here = peers(case.function)
    looks, notes = _looked(case, here, given)
    fitting = [Bound(peer, given) for peer in here if peer.name in looks]
    turns = {(bound.peer.name, way): turn for bound in fitting for way, turn in bound.turns().items()}
    movers = _movers(given)
    timings, failed = _timed(turns | movers, clock, seconds, may_fail=looks.keys() - {OURS})
    if case.width == recompilation.WIDTH:
        counted = recompilation.recompilations(case, device)
        looks = {name: replace(look, recompilations=counted[name]) for name, look in looks.items()}
    return list(_measurements(case, timings, movers, looks, notes | failed))


def _looked(case: Case, here: Sequence[Peer], given: Inputs) -> tuple[dict[str, Look], dict[str, str]]:
    """What each costs besides time, and why some cannot run. Ours is to be right before another is compiled."""
    ours, *others = here
    assert ours.name == OURS
    right = agreement.truth(case.function, given)
    looks = {OURS: _look(Bound(ours, given), right)}
    agreement.insist(case, looks[OURS].errors, agreement.allowed(right, given.x.device))
    notes: dict[str, str] = {}
    for peer in others:
        try:
            looks[peer.name] = _look(Bound(peer, given), right)
        except Exception as error:  # of somebody else's code, whatever it is
            notes[peer.name] = first_line(error)
        cost.free()
    return looks, notes


def _look(bound: Bound, right: Truth) -> Look:
    errors = agreement.errors(bound, right)  # the first call, which also compiles
    turns = bound.turns()
    return Look(
        errors=errors,
        launches=(cost.launches(turns["forward"]()), cost.launches(turns["backward"]())),
        peak=cost.peak(turns["both"]()),
        kept=cost.kept(bound.forward, apart=bound.leaves).total(),
        deterministic=cost.deterministic(lambda: bound.backward(bound.forward(), bound.incoming())),
    )


def _movers(given: Inputs) -> dict[Key, Turn]:
    """As fast as the memory goes: reading one tensor and writing another, and reading two and writing a third.

    A copy need not be the fastest way to move: some GPUs do it by other means than a kernel.
    """
    x, dy, written = given.x, given.dy, torch.empty_like(given.x)
    return {
        ("copy_", "forward"): lambda: lambda: written.copy_(x),
        ("torch.neg", "forward"): lambda: lambda: _negated(x, written),
        ("torch.add", "backward"): lambda: lambda: torch.add(x, dy, out=written),
    }


def _negated(x: Tensor, written: Tensor) -> Tensor:
    return torch.neg(x, out=written)


def _timed(
    turns: Mapping[Key, Turn], clock: Clock, seconds: float, *, may_fail: Set[str]
) -> tuple[dict[Key, Timing], dict[str, str]]:
    """The times, and why some have none: who fails is left out, and the rounds begin anew without it."""
    notes: dict[str, str] = {}
    while True:
        left = {key: turn for key, turn in turns.items() if key[0] not in notes}
        try:
            return interleaved(left, clock, seconds=seconds), notes
        except TurnFailed as failure:
            notes[failure.key[0]] = _forgiven(failure, may_fail)
        cost.free()


def _forgiven(failure: TurnFailed, may_fail: Set[str]) -> str:
    """What to say of it; raised instead, if it may not be."""
    cause = failure.__cause__
    assert cause is not None
    if failure.key[0] not in may_fail:
        raise cause from None
    return f"{first_line(cause)}, while it was timed"


def _measurements(
    case: Case, timings: Mapping[Key, Timing], movers: Collection[Key], looks: Mapping[str, Look], notes: dict[str, str]
) -> Iterator[Measurement]:
    """Each in each direction; of the movers the fastest alone, as the ceiling."""
    ceilings: dict[str, float] = {}
    for direction in ("forward", "backward"):
        fastest = min((key for key in movers if key[1] == direction), key=lambda key: timings[key].median)
        ceilings[direction] = timings[fastest].median
        yield Measurement(case, CEILING, direction, timings[fastest], ceilings[direction], note=fastest[0])
    ceilings["both"] = sum(ceilings.values())
    for (name, way), timing in timings.items():
        if (name, way) not in movers:
            yield Measurement(case, name, way, timing, ceilings[way], looks[name])
    for name, note in notes.items():
        yield from (Measurement(case, name, way, look=looks.get(name), note=note) for way in LEAST_BYTES)
