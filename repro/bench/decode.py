"""What a model costs when it writes, by activation: reading a prompt, and going on with it one token after another."""

import functools
import itertools
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn

from repro import models
from repro.bench import agreement, cost, measurement
from repro.bench.rows import append, expect
from repro.bench.subjects import drawn_on
from repro.bench.tables import digits, say
from repro.bench.timing import Clock, CpuClock, GpuClock, Timing, TurnFailed, Work, rounds, summary
from repro.evaluation.generating.generation import Cached, chooser, without_end
from repro.models.init import initialise
from repro.recipe import LanguageRecipe, load
from repro.recipe.parameters import ffn_width
from repro.recipe.schema import Model
from repro.training import sharding

FILE = "bench-decode.csv"
ACTIVATIONS = ("swiglu", "gelu", "relu", "polyrelu", "polynorm")  # the first is what the others are held against
PREFILL, DECODE = "prefill", "decode"
SECONDS = 20.0  # of rounds for a case
MB = 1e6


@dataclass(frozen=True)
class Case:
    """A scale, how many prompts of how many tokens are read at once, and how many tokens follow each."""

    scale: str
    batch: int
    prompt: int
    tokens: int

    def __str__(self) -> str:
        return f"{self.scale}, batch {self.batch}, {self.tokens} tokens after {self.prompt:,}"


CASES = {
    "cpu": (Case("dense-10m", 1, 256, 32),),
    "cuda": (Case("dense-1b", 1, 512, 32), Case("dense-1b", 32, 512, 32)),
}


@dataclass(frozen=True)
class Cost:
    """What one activation costs in one phase. Memory is in bytes; without a GPU there is no peak.

    Attributes:
        relative: its speed in multiples of the first activation's, the median of the rounds.
        weights: of the network.
        cache: of keys and values.
        peak: needed at most above both.
    """

    case: Case
    activation: str
    phase: str
    timing: Timing
    relative: float
    dtype: str
    weights: int
    cache: int
    peak: int | None

    @property
    def tokens_per_s(self) -> float:
        """Of the whole batch: tokens read in the prefill, written after it."""
        each = self.case.prompt if self.phase == PREFILL else self.case.tokens
        return 1000 * self.case.batch * each / self.timing.median

    def row(self) -> dict[str, object]:
        """The cost as a row of the CSV; what is not known is empty."""
        return {
            **asdict(self.case),
            "activation": self.activation,
            "phase": self.phase,
            "dtype": self.dtype,
            "median_ms": self.timing.median,
            "p20_ms": self.timing.low,
            "p80_ms": self.timing.high,
            "rounds": self.timing.rounds,
            "tokens_per_s": self.tokens_per_s,
            f"of_{ACTIVATIONS[0]}": self.relative,
            "weights_bytes": self.weights,
            "cache_bytes": self.cache,
            "peak_bytes": self.peak,
        }


def start(out: Path | None, console: Console) -> None:
    """Check the kernels where there is a GPU, then measure, print and append to ``bench-decode.csv``.

    Raises:
        CheckFailed: a kernel is not right, and no speed is told.
        ReproError: the file in ``out`` cannot be appended to.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cases = CASES[device.type]
    if out:
        expect(out / FILE, Cost(cases[0], "", PREFILL, Timing(1, 1, 1, 1), 1, "", 0, 0, None).row())
    if device.type == "cuda":
        _check(cases[0].scale)
    say(console, f"Greedy, with a cache of keys and values, on {_on(device)}; weights and prompts are made up.")
    for case in cases:
        _report(case, device, GpuClock() if device.type == "cuda" else CpuClock(), out, console)


def _check(scale: str) -> None:
    """The kernels at the width at which they will run."""
    for function in ("polynorm", "polyrelu"):
        model = load(f"{scale}-{function}", []).model
        assert isinstance(model, Model)
        agreement.check(measurement.Case(function, ffn_width(model), 5), agreement.place())


def _on(device: torch.device) -> str:
    return agreement.name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads of a CPU"


def _report(case: Case, device: torch.device, clock: Clock, out: Path | None, console: Console) -> None:
    try:
        measured = measure(case, device, clock)
    except (torch.OutOfMemoryError, TurnFailed) as failure:
        if not isinstance(failure.__cause__ or failure, torch.OutOfMemoryError):
            raise
        say(console, f"\n{case}: not measured, the networks do not fit into the memory of the GPU")
        return
    _tell(case, measured, console)
    if out:
        append(out / FILE, [each.row() for each in measured])


def measure(case: Case, device: torch.device, clock: Clock) -> list[Cost]:
    """Every activation in both phases, timed by turns."""
    cost.free()  # what the case before had
    arms = {activation: Arm(case, activation, device) for activation in ACTIVATIONS}
    turns = {(name, phase): arm.turn(phase) for phase in (PREFILL, DECODE) for name, arm in arms.items()}
    times = rounds(turns, clock, seconds=SECONDS)
    return [arms[name].cost(phase, times[name, phase], times[ACTIVATIONS[0], phase]) for name, phase in turns]


class Arm:
    """A network with one activation, and a prompt that it has room to go on with."""

    def __init__(self, case: Case, activation: str, device: torch.device) -> None:
        self.case, self.activation = case, activation
        recipe = load(f"{case.scale}-{activation}", [])
        assert isinstance(recipe, LanguageRecipe)
        self.network = network(recipe, device)
        self.read = Cached(self.network, case.prompt + case.tokens)
        self.prompt = torch.randint(recipe.model.vocab_size, (case.batch, case.prompt), device=device)

    def turn(self, phase: str) -> Callable[[], Work]:
        """Makes ready for a phase and returns it. Each decode forgets the one before, and not the prompt."""
        return self._prefill if phase == PREFILL else self._decode

    def cost(self, phase: str, times: list[float], base: list[float]) -> Cost:
        """With memory, for which it is done once more."""
        weights, relative = list(self.network.parameters()), [b / a for a, b in zip(times, base, strict=True)]
        return Cost(
            self.case,
            self.activation,
            phase,
            summary(times),
            statistics.median(relative),
            str(weights[0].dtype).removeprefix("torch."),
            sum(weight.nbytes for weight in weights),
            self.read.cache.size,
            cost.peak(self.turn(phase)()) if weights[0].is_cuda else None,
        )

    def _prefill(self) -> Work:
        self.read.forget()
        return functools.partial(self._written, self.prompt, 1)

    def _decode(self) -> Work:
        self.read.cache.length = self.case.prompt
        return functools.partial(self._written, self.prompt[:, -1:], self.case.tokens)

    def _written(self, tokens: Tensor, n: int) -> list[list[int]]:
        return list(itertools.islice(without_end(self.read, tokens, chooser(None, ())), n))


def network(recipe: LanguageRecipe, device: torch.device) -> nn.Module:
    """As a checkpoint of ``recipe`` is evaluated, with made-up weights: in bfloat16 on a GPU, in float32 on a CPU."""
    with torch.device("meta"):
        made = models.from_recipe(recipe.model)
    made.to_empty(device=device)
    initialise(made, 0, drawn_on(device))
    if device.type == "cuda":
        sharding.in_bfloat16(made)
    return made.requires_grad_(False).eval()


def _tell(case: Case, measured: list[Cost], console: Console) -> None:
    say(console, f"\n{case}, {measured[0].dtype}, medians of {measured[0].timing.rounds} rounds")
    head = f"{'ms':>10s}{'p80/p20':>9s}{'tokens/s':>12s}{f'of {ACTIVATIONS[0]}':>11s}"
    say(console, f"{'':20s}{head}{'weights MB':>12s}{'cache MB':>10s}{'peak MB above':>15s}")
    for each in measured:
        say(console, _line(each))


def _line(each: Cost) -> str:
    times = digits(each.timing.median, 10) + digits(each.timing.spread, 9) + digits(each.tokens_per_s, 12)
    memory = digits(each.weights / MB, 12) + digits(each.cache / MB, 10) + digits(each.peak and each.peak / MB, 15)
    return f"{each.phase:9s}{each.activation:11s}{times}{each.relative:>11.1%}{memory}"
