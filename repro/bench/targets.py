"""What the kernels are to reach, and whether they do: computed from the measurements."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from repro.bench.measurement import Measurement
from repro.bench.peers import OURS

REACHED, MISSED, UNKNOWN = "reached", "missed", "not measured"

LARGE = 256e6  # bytes of x and y from which the ceiling is to be neared
SHARE = {"forward": 90.0, "backward": 85.0}  # percent of the ceiling
LIGER = {"never slower than Liger": (1.0, None), "backward at least 1.3 times Liger at 8,256 columns": (1.3, 8256)}
COMPILE = 2.0  # times torch.compile's speed, backward


@dataclass(frozen=True)
class Verdict:
    """A target, whether it was reached, and by which figure."""

    target: str
    outcome: str
    found: str


def verdicts(measured: Sequence[Measurement], absent: Mapping[str, str]) -> list[Verdict]:
    """Every target, at its worst case; ``absent`` says why an implementation was not there."""
    told = []
    for direction, least in SHARE.items():
        shares = [
            (m.share, m)
            for m in measured
            if m.implementation == OURS and m.direction == direction and m.case.working_set >= LARGE
            if m.share is not None
        ]
        target = f"{direction} at least {least:.0f} % of the ceiling from 256 MB on"
        told.append(_verdict(target, shares, least, "%", "no case of ours"))
    why = f"Liger is absent, {absent['liger']}" if "liger" in absent else "no case of Liger's"
    for target, (least, width) in LIGER.items():
        ways = ("forward", "backward", "both") if width is None else ("backward",)
        ratios = [pair for pair in _ratios(measured, "liger", ways) if width in {None, pair[1].case.width}]
        told.append(_verdict(target, ratios, least, "times its speed", why))
    ratios = list(_ratios(measured, "torch.compile", ("backward",)))
    told.append(
        _verdict(
            "backward at least twice torch.compile", ratios, COMPILE, "times its speed", "no case of torch.compile"
        )
    )
    return told


def _verdict(target: str, found: Sequence[tuple[float, Measurement]], least: float, unit: str, why: str) -> Verdict:
    if not found:
        return Verdict(target, UNKNOWN, why)
    value, worst = min(found, key=lambda pair: pair[0])
    below = sum(figure < least for figure, _ in found)
    where = f"{value:.4g} {unit} at worst ({worst.case}, {worst.direction})"
    many = f"; below at {below} of {len(found)}" if below else ""
    return Verdict(target, MISSED if below else REACHED, where + many)


def _ratios(
    measured: Sequence[Measurement], other: str, directions: Iterable[str]
) -> Iterable[tuple[float, Measurement]]:
    """How many times as fast ours is as the fastest form of another, wherever both were timed."""
    directions = tuple(directions)
    for ours in measured:
        if ours.implementation != OURS or ours.timing is None or ours.direction not in directions:
            continue
        theirs = [
            m.timing.median
            for m in measured
            if m.implementation.startswith(other) and m.timing and (m.case, m.direction) == (ours.case, ours.direction)
        ]
        if theirs:
            yield min(theirs) / ours.timing.median, ours
