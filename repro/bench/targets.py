"""What is to be reached, and whether it is: computed from the measurements."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from repro.bench.measurement import LEAST_BYTES, Case, Measurement
from repro.bench.peers import OURS

REACHED, PARTLY, MISSED, UNKNOWN = "reached", "partly", "missed", "not measured"

LARGE = 256e6  # bytes of x and y from which the ceiling is to be neared


@dataclass(frozen=True)
class Target:
    """At least ``least``, in every one of ``directions`` at all cases that ``counts`` says are meant.

    It is the percentage of the ceiling, or where there is an ``other`` how many times as fast as it ours is.
    """

    text: str
    directions: tuple[str, ...]
    least: float
    counts: Callable[[Case], bool]
    other: str = ""

    @property
    def unit(self) -> str:
        """Of the figures."""
        return "times its speed" if self.other else "%"


def _large(case: Case) -> bool:
    return case.working_set >= LARGE


def _of_liger(case: Case) -> bool:
    return case.function == "polynorm"  # the one that it has


TARGETS = [
    Target("forward at least 90 % of the ceiling from 256 MB on", ("forward",), 90.0, _large),
    Target("backward at least 85 % of the ceiling from 256 MB on", ("backward",), 85.0, _large),
    Target("never slower than Liger, each direction counted as a case", tuple(LEAST_BYTES), 1.0, _of_liger, "liger"),
    Target(
        "backward at least 1.3 times Liger at 8,256 columns",
        ("backward",),
        1.3,
        lambda case: _of_liger(case) and case.width == 8256,
        "liger",
    ),
    Target("backward at least twice torch.compile", ("backward",), 2.0, lambda case: True, "torch.compile"),
]


@dataclass(frozen=True)
class Bound:
    """At least ``least`` and at most ``most`` of ``unit``, in every one of ``cases``."""

    text: str
    cases: tuple[str, ...]
    unit: str
    least: float = -math.inf
    most: float = math.inf


IMAGES = [
    Bound(
        "at least 400 images/s per core, decoded and cropped from JPEGs of 110 kB",
        ("loader: decode, crop, flip",),
        "images/s per core",
        least=400,
    ),
    Bound(
        "at least 90 % of what decoder and transforms do alone",
        ("loader against decoder and transforms",),
        "%",
        least=90,
    ),
]

_MIXTURE = tuple(
    f"moe-1b7b-{activation}, forward + backward, extrapolated from 2 and 6 layers"
    for activation in ("swiglu", "polynorm")
)
_RESNET = tuple(f"resnet50-imagenet-{activation}, training step" for activation in ("relu", "polynorm"))

_DENSE = tuple(f"dense-1b-{activation}, forward + backward" for activation in ("swiglu", "polynorm", "polyrelu"))
_POLYCOM = tuple(f"dense-1b-{activation} over swiglu, forward + backward" for activation in ("polynorm", "polyrelu"))

TRAINING = [
    Bound("dense model at least 50 % MFU on an H100, about 55,000 tokens/s", _DENSE, "% MFU", least=50),
    Bound("PolyNorm and PolyReLU at most 1.03 times SwiGLU's passes in the dense model", _POLYCOM, "times", most=1.03),
    Bound(
        "FSDP2 on one GPU at most 1.02 times the bare model's passes",
        ("dense-1b-polynorm over bare, forward + backward",),
        "times",
        most=1.02,
    ),
    Bound(
        "a checkpoint every 30 minutes stops training for at most 2 % of the time",
        ("dense-1b-polynorm, training stands still for a checkpoint",),
        "% of 30 minutes",
        most=2,
    ),
    Bound("mixture of experts at least 27,000 tokens/s on an H100", _MIXTURE, "tokens/s", least=27_000),
    Bound("mixture of experts if possible 35,000 tokens/s on an H100", _MIXTURE, "tokens/s", least=35_000),
    Bound("ResNet-50 at least 2,500 images/s on an H100", _RESNET, "images/s", least=2_500),
    Bound(
        "PolyNorm at most 1.15 times ReLU's step in a ResNet-50",
        ("resnet50-imagenet-polynorm over relu, training step",),
        "times",
        most=1.15,
    ),
]


@dataclass(frozen=True)
class Verdict:
    """A target, whether it was reached, and by which figure."""

    target: str
    outcome: str
    found: str


def verdicts(measured: Sequence[Measurement], planned: Sequence[Case], absent: Mapping[str, str]) -> list[Verdict]:
    """Every target, at its worst case.

    ``planned`` are the cases that were to be measured: reached is only what was reached at all of them that ours was to
    be timed at. ``absent`` says why an implementation was not there.
    """
    return [_verdict(target, measured, planned, absent) for target in TARGETS]


def judged(bounds: Iterable[Bound], figures: Mapping[tuple[str, str], float]) -> list[Verdict]:
    """Every bound, at its worst case. ``figures`` are by case and unit; what is not among them was not measured."""
    return [_judged(bound, figures) for bound in bounds]


def _judged(bound: Bound, figures: Mapping[tuple[str, str], float]) -> Verdict:
    found = [(figures[case, bound.unit], case) for case in bound.cases if (case, bound.unit) in figures]
    if not found:
        return Verdict(bound.text, UNKNOWN, "there is no figure")
    value, case = max(found) if bound.least == -math.inf else min(found)
    missing = len(bound.cases) - len(found)
    outcome = MISSED if not bound.least <= value <= bound.most else PARTLY if missing else REACHED
    without = f"; {missing} of {len(bound.cases)} cases without a figure" if missing else ""
    return Verdict(bound.text, outcome, f"{value:.4g} {bound.unit} ({case}){without}")


def _verdict(
    target: Target, measured: Sequence[Measurement], planned: Sequence[Case], absent: Mapping[str, str]
) -> Verdict:
    ours = list(_ours(target, measured))
    figures = [(figure, m) for m in ours if (figure := _figure(target, m, measured)) is not None]
    cases = len(target.directions) * sum(map(target.counts, planned))
    if not figures:
        why = f"{target.other} is absent, {absent[target.other]}" if target.other in absent else "there are no times"
        return Verdict(target.text, UNKNOWN, f"at none of {cases} cases: {why}")
    below = sum(figure < target.least for figure, _ in figures)
    outcome = MISSED if below else PARTLY if len(ours) < cases else REACHED
    return Verdict(target.text, outcome, _found(target, figures, below, cases))


def _found(target: Target, figures: Sequence[tuple[float, Measurement]], below: int, cases: int) -> str:
    value, worst = min(figures, key=lambda pair: pair[0])
    missing = f", {cases - len(figures)} without a time" if len(figures) < cases else ""
    where = f"{worst.case}, {worst.direction}"
    return f"{value:.4g} {target.unit} at worst ({where}); below at {below} of {cases} cases{missing}"


def _ours(target: Target, measured: Sequence[Measurement]) -> Iterator[Measurement]:
    for m in measured:
        if m.implementation == OURS and m.timing and m.direction in target.directions and target.counts(m.case):
            yield m


def _figure(target: Target, ours: Measurement, measured: Sequence[Measurement]) -> float | None:
    """What the target is about; against another, its fastest form, and None where that has no time."""
    if not target.other:
        return ours.share
    theirs = [
        m.timing.median
        for m in measured
        if m.implementation.startswith(target.other)
        if m.timing and (m.case, m.direction) == (ours.case, ours.direction)
    ]
    return min(theirs) / ours.timing.median if theirs and ours.timing else None
