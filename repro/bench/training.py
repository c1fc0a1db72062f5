"""How fast the paper's three families train on one GPU, at its own shapes.

The mixture of 6.9 billion parameters does not fit on one: it is timed at two depths, and the line through them is drawn
on to its own. What 64 GPUs would send each other is in none of the figures; what FSDP2 costs where there is nobody to
send to is told against the bare model. Last comes how long training stands still for a checkpoint.
"""

import functools
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from rich.console import Console
from torch.distributed.device_mesh import DeviceMesh

from repro.bench import agreement, cost, measurement, saving, speeds, targets
from repro.bench.cases import BARE, CASES, Case, at_a_time, laid_out, need, of_what, worked_with
from repro.bench.rows import Reading, append, expect
from repro.bench.subjects import Subject, alone, bare, subject
from repro.bench.tables import digits, print_targets, say
from repro.bench.timing import LEAST, MOST, Clock, GpuClock, TurnFailed, Work, rounds
from repro.errors import ReproError
from repro.recipe import LanguageRecipe, Machine, Recipe, here
from repro.recipe.counting import count
from repro.recipe.images import ImageRecipe
from repro.recipe.layout import Fit
from repro.recipe.memory import GB, memory

FILE = "bench-training.csv"
TARGETS_FOR = "H100"  # the GPU that speeds are asked of
SECONDS, UPDATES = 12.0, 2.0  # of rounds for a case, and for its optimizer
LIMIT = 300.0  # seconds after which nothing is begun: nine minutes are for the last and the trainer's overhead too
WIDTHS = (64, 128, 256, 512, 1024, 1536, 2048, 8256)  # of the rows that PolyNorm has in these networks
CHECKED = 2**20  # elements that are checked at each width before anything is timed


def prove(out: Path) -> None:
    """Refuse a folder whose ``bench-training.csv`` cannot be appended to.

    Raises:
        ReproError: saying why.
    """
    expect(out / FILE, _row(Reading("", "", 0.0), 0))


def possible() -> bool:
    """Whether there is a GPU."""
    return torch.cuda.is_available()


def refuse(console: Console) -> None:
    """Say that there is none."""
    names = ", ".join(dict.fromkeys(case.scale for case in CASES))
    say(console, f"The training steps of {names} need a GPU, and there is none here: not measured.")


def start(out: Path | None, console: Console) -> None:
    """Check PolyNorm, then measure, print and append to ``bench-training.csv``.

    Raises:
        CheckFailed: the kernel is not right, and no speed is told.
        ReproError: torch and ``nvidia-smi`` do not see the same.
    """
    begun = time.perf_counter()
    device, gpu = agreement.place(), _gpu()
    for width in WIDTHS:
        agreement.check(measurement.Case("polynorm", width, CHECKED // width + 3), device)
    report(device, gpu, GpuClock(), out, console, begun=begun)


def _gpu() -> Machine:
    """The GPU that is measured."""
    found = here()
    if found.accelerator != "cuda":
        raise ReproError("torch sees a GPU and nvidia-smi lists none; put nvidia-smi on the PATH, which knows its size")
    return found.model_copy(update={"devices": 1})


def report(
    device: torch.device, gpu: Machine, clock: Clock, out: Path | None, console: Console, *, begun: float
) -> None:
    """Every case, printed and written as it comes, and the targets."""
    say(console, f"\nTraining steps on one {gpu.device}, on data made up there; nothing is sent to other GPUs.")
    say(console, f"MFU is causal and of {gpu.peak_tflops:g} TFLOP/s ({gpu.source}).")
    say(console, f"Medians with 20th and 80th percentiles of {LEAST} to {MOST} rounds, in which networks take turns.")
    figures: dict[tuple[str, str], float] = {}
    with alone(device) as mesh:
        for name, measured in _measured(mesh, gpu, clock, out, console).items():
            if time.perf_counter() - begun > LIMIT:
                say(console, f"\n{name}: not measured, {LIMIT:.0f} seconds have passed")
                continue
            micro_batch, found = measured()
            # A network that takes turns in two cases is told of the first.
            new = [reading for reading in found if (reading.case, reading.unit) not in figures]
            _tell(new, micro_batch, out, console)
            figures |= {(reading.case, reading.unit): reading.value for reading in new}
    if TARGETS_FOR in gpu.device:
        print_targets(console, targets.judged(targets.TRAINING, figures))
    else:
        say(console, f"\nThe targets are an {TARGETS_FOR}'s, and this is another GPU.")


def _measured(
    mesh: DeviceMesh, gpu: Machine, clock: Clock, out: Path | None, console: Console
) -> Mapping[str, Callable[[], tuple[int, list[Reading]]]]:
    """What is measured, one after another: how many were taken at a time, and the readings."""
    cases = {str(case): functools.partial(_fitted, case, mesh, gpu, clock, console) for case in CASES}
    return cases | {"checkpoint": functools.partial(saving.report, mesh, gpu, clock, out, console)}


def _fitted(case: Case, mesh: DeviceMesh, gpu: Machine, clock: Clock, console: Console) -> tuple[int, list[Reading]]:
    """How many were taken at a time, and the readings: none where the memory is too small."""
    micro_batch = at_a_time(case, gpu)
    if not micro_batch:
        say(console, f"\n{case}: not measured, {of_what(case)} need {need(case, gpu, 1):.0f} GB one at a time")
    while micro_batch:
        say(console, f"\n{case}, {of_what(case)}, {micro_batch} at a time")
        try:
            return micro_batch, measure(case, micro_batch, mesh, gpu, clock)
        except (torch.OutOfMemoryError, TurnFailed) as failure:
            _forgive(failure)
        say(console, f"not measured: out of memory, where {need(case, gpu, micro_batch):.0f} GB were planned")
        micro_batch //= 2
    return 0, []


def _forgive(failure: Exception) -> None:
    """Forgive a GPU that is full; anything else is raised as it was."""
    cause = failure.__cause__ if isinstance(failure, TurnFailed) else failure
    if not isinstance(cause, torch.OutOfMemoryError):
        assert cause is not None
        raise cause from None


def measure(case: Case, micro_batch: int, mesh: DeviceMesh, gpu: Machine, clock: Clock) -> list[Reading]:
    """Every network of a case, timed by turns, and the optimizer of the first of language models.

    Raises:
        OutOfMemoryError: they do not fit.
        TurnFailed: one of them failed, perhaps for the same reason.
    """
    cost.free()  # what the case before had
    recipes, layout = case.timed(), laid_out(case, micro_batch)
    subjects = {name: _subject(name, recipe, mesh, layout) for name, recipe in recipes.items()}
    turns = {name: _turn(_timed(recipes[name], each), clock) for name, each in subjects.items()}
    found = list(speeds.readings(case, rounds(turns, clock, seconds=SECONDS), micro_batch, gpu))
    first, *_, last = recipes
    if mesh.device_type == "cuda":
        found += _memory(last, worked_with(memory(recipes[last], gpu, layout)), turns[last]())
    if not isinstance(recipes[first], ImageRecipe):
        found.append(_update(first, recipes[first], subjects[first].update, clock))
    return found


def _subject(name: str, recipe: Recipe, mesh: DeviceMesh, layout: Fit) -> Subject:
    if not name.endswith(BARE):
        return subject(recipe, mesh, layout)
    assert isinstance(recipe, LanguageRecipe)
    return bare(recipe, mesh, layout)


def _timed(recipe: Recipe, each: Subject) -> Work:
    return each.step if isinstance(recipe, ImageRecipe) else each.backward


def _turn(work: Work, clock: Clock) -> Callable[[], Work]:
    """A turn that begins on an idle GPU, so that none gains from being queued behind another."""

    def prepare() -> Work:
        clock.wait()
        return work

    return prepare


def _memory(name: str, planned: float, work: Work) -> list[Reading]:
    """GB that a micro-batch needs at most above what is held between steps, and what the plan says of it."""
    peak = cost.peak(work) / GB
    return [Reading(f"{name}, peak of a micro-batch", "GB", peak), Reading(f"{name}, the same planned", "GB", planned)]


def _update(name: str, recipe: Recipe, work: Work, clock: Clock) -> Reading:
    """On one GPU; in the paper's runs many share it, once a step of many micro-batches."""
    times = rounds({name: _turn(work, clock)}, clock, seconds=UPDATES)[name]
    return Reading.of(f"{name}, clipping and AdamW, {count(recipe.model).total / 1e9:.2f} B parameters", "ms", times)


def _tell(found: list[Reading], micro_batch: int, out: Path | None, console: Console) -> None:
    for reading in found:
        say(console, _line(reading))
    if out and found:
        append(out / FILE, [_row(reading, micro_batch) for reading in found])


def _row(reading: Reading, micro_batch: int) -> dict[str, object]:
    return reading.row() | {"micro_batch": micro_batch}


def _line(reading: Reading) -> str:
    spread = f"{digits(reading.low, 9)} to {digits(reading.high, 7)}" if reading.rounds else ""
    return f"{reading.case:74s}{digits(reading.value, 9)} {reading.unit:9s}{spread}".rstrip()
