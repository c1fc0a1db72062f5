"""How fast PolyNorm and PolyReLU are: every implementation side by side, against what the memory allows."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from repro.bench import agreement, cost, roofline, tables, targets
from repro.bench.agreement import Inputs, Truth
from repro.bench.measurement import CEILING, LEAST_BYTES, Case, Look, Measurement
from repro.bench.peers import FUNCTIONS, OURS, Peer, absent, first_line, peers, versions
from repro.bench.rows import append, expect
from repro.bench.timing import Clock, GpuClock, Timing, Work, interleaved

# Numbers of rows that users have as tokens or pixels, such that x and y are 512 to 805 MB: far above any cache.
ROWS = {64: 2**21, 256: 2**19, 1536: 2**17, 8256: 2**14, 10944: 2**14, 16384: 2**13, 32768: 2**12}
CASES = [Case(function, width, rows) for function in FUNCTIONS for width, rows in ROWS.items()]
CHECKED = {"cuda": 2**22, "cpu": 2**13}  # elements that are checked before anything is timed
SECONDS = 2.5  # of rounds for a case
LIMIT = 450.0  # seconds after which no case is begun, so that the last one ends within nine minutes
FILE = "bench-activations.csv"

RECOMPILED = 1536  # columns at which recompilations are counted
TOKENS = [131 + 257 * i for i in range(64)]


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
    _agree(device, console)
    for name, reason in absent().items():
        tables.say(console, f"{name}: absent, {reason}")
    if device.type == "cpu":
        tables.say(console, "\nThere is no GPU here. On one this would be measured, each by turns with the others:\n")
        tables.print_plan(console, {case: [peer.name for peer in peers(case.function)] for case in CASES})
        return
    tables.print_legend(console)
    measured: list[Measurement] = []
    for measurements in _measured(device, begun, console):
        tables.print_case(console, measurements)
        measured += measurements
        if out:
            append(out / FILE, [measurement.row() | versions() for measurement in measurements])
    tables.print_targets(console, targets.verdicts(measured, absent()))
    if out:
        roofline.draw(measured, out / "activations.png", title=f"{torch.cuda.get_device_name()}, bfloat16")


def _agree(device: torch.device, console: Console) -> None:
    tables.say(
        console, f"Our kernels in bfloat16 on {agreement.name(device)}, errors against float64 (relative, L2):\n"
    )
    for case in CASES:
        rows = min(case.rows, CHECKED[device.type] // case.width + 3)  # and not a multiple of anything
        small = replace(case, rows=rows)
        tables.print_errors(console, small, agreement.check(small, device))


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
    timings = interleaved(turns | _ceilings(given), clock, seconds=seconds)
    if case.width == RECOMPILED:
        counted = recompilations(case, device)
        looks = {name: replace(look, recompilations=counted.get(name)) for name, look in looks.items()}
    return list(_measurements(case, timings, looks, notes))


class Bound:
    """An implementation with what it is called with."""

    def __init__(self, peer: Peer, given: Inputs) -> None:
        self.peer, self.dy = peer, given.dy
        self.x = given.x.detach().requires_grad_()
        self.leaves = [leaf.clone().requires_grad_() for leaf in peer.layout.split(given.coeff, given.x.dtype)]

    def forward(self) -> Tensor:
        """Y, and what its gradient needs."""
        return self.peer.call(self.x, *self.leaves)

    def backward(self, y: Tensor, dy: Tensor) -> tuple[Tensor, ...]:
        """The gradients of x and of the parameters."""
        return torch.autograd.grad(y, (self.x, *self.leaves), dy)

    def incoming(self) -> Tensor:
        """A gradient of y that may be written to if need be."""
        return self.dy.clone() if self.peer.overwrites else self.dy

    def turns(self) -> dict[str, Callable[[], Work]]:
        """What prepares each direction, and returns what is timed."""

        def backward() -> Work:
            y, dy = self.forward(), self.incoming()
            return lambda: self.backward(y, dy)

        def both() -> Work:
            dy = self.incoming()
            return lambda: self.backward(self.forward(), dy)

        return {"forward": lambda: self.forward, "backward": backward, "both": both}


def _looked(case: Case, here: Sequence[Peer], given: Inputs) -> tuple[dict[str, Look], dict[str, str]]:
    """What each costs besides time, and why some cannot run."""
    right = agreement.truth(case.function, given)
    looks: dict[str, Look] = {}
    notes: dict[str, str] = {}
    for peer in here:
        try:
            looks[peer.name] = _look(Bound(peer, given), given, right)
        except Exception as error:  # of somebody else's code, whatever it is
            if peer.name == OURS:
                raise
            notes[peer.name] = "out of memory" if isinstance(error, torch.OutOfMemoryError) else first_line(error)
        gc.collect()  # a failure's traceback holds what it had reserved
        torch.cuda.empty_cache()
    agreement.insist(case, looks[OURS].errors, agreement.allowed(right, given.x.device))
    return looks, notes


def _look(bound: Bound, given: Inputs, right: Truth) -> Look:
    errors = agreement.errors(bound.peer, given, right)  # the first call, which also compiles
    turns = bound.turns()
    return Look(
        errors=errors,
        launches=(cost.launches(turns["forward"]()), cost.launches(turns["backward"]())),
        peak=cost.peak(turns["both"]()),
        kept=cost.kept(bound.forward, apart=bound.leaves).total(),
        deterministic=cost.deterministic(lambda: bound.backward(bound.forward(), bound.incoming())),
    )


def _ceilings(given: Inputs) -> dict[tuple[str, str], Callable[[], Work]]:
    """As fast as the memory goes: reading one tensor and writing another, and reading two and writing a third."""
    x, dy, written = given.x, given.dy, torch.empty_like(given.x)
    return {
        (CEILING, "forward"): lambda: lambda: written.copy_(x),
        (CEILING, "backward"): lambda: lambda: torch.add(x, dy, out=written),
    }


def _measurements(
    case: Case, timings: dict[tuple[str, str], Timing], looks: dict[str, Look], notes: dict[str, str]
) -> Iterator[Measurement]:
    ceilings = {way: timings[CEILING, way].median for way in ("forward", "backward")}
    ceilings["both"] = sum(ceilings.values())
    for (name, way), timing in timings.items():
        yield Measurement(case, name, way, timing, ceilings[way], looks.get(name))
    for name, note in notes.items():
        yield from (Measurement(case, name, way, note=note) for way in LEAST_BYTES)


def recompilations(case: Case, device: torch.device, *, seconds: float = 90.0) -> dict[str, int]:
    """What each implementation compiles for 63 numbers of tokens after the first.

    One that takes longer than ``seconds`` is left out. torch.compile has its default here, dynamic shapes from the
    second one on.
    """
    torch.compiler.reset()
    here = peers(case.function, dynamic=None)
    # Who shares kernels shares what was compiled: the second would find all of it there.
    first = {peer.compilations: peer for peer in reversed(here)}
    counted = {compilations: _recompiled(peer, case, device, seconds) for compilations, peer in first.items()}
    return {peer.name: count for peer in here if (count := counted[peer.compilations]) is not None}


def _recompiled(peer: Peer, case: Case, device: torch.device, seconds: float) -> int | None:
    end, before = time.perf_counter() + seconds, None
    for tokens in TOKENS:
        given = agreement.inputs(replace(case, rows=tokens), device)
        bound = Bound(peer, given)
        bound.backward(bound.forward(), bound.incoming())
        before = peer.compilations() if before is None else before
        if time.perf_counter() > end:
            return None
    return peer.compilations() - before if before is not None else None
