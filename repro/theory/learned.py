"""Networks that are trained, beside the ones that are built: that a network exists does not say that training finds it.

One hidden layer of each activation, of as many parameters as Theorem 3's networks of the same functions. Each arm, an
activation at a size, has a learning rate that was chosen on seeds of its own.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import mean, median, stdev

import numpy as np
from scipy.stats import t as student

from repro.data.progress import Progress, silent
from repro.theory import construction, training
from repro.theory.ball import Member
from repro.theory.findings import Curve, Finding
from repro.theory.fitting import curve, slope, spread
from repro.theory.rates import sample

ACTIVATIONS = ("relu", "gelu", "swiglu", "polyrelu", "polynorm")
SMOOTHNESS, WAVES, DRAWS = 2, 4, (0, 1)  # of the functions
CELLS = (1, 4, 12)  # of the built networks
FIRST, FACTOR, MOST = (0.05, 0.15, 0.45), 3.0, 7  # learning rates, how far apart they are, and how many at most
TUNING = (1000, 1001)  # seeds that choose a rate, and are not measured
STAGE = "training small networks"


@dataclass(frozen=True)
class Choice:
    """Of a learning rate.

    Attributes:
        rate: the best.
        inside: whether both of its neighbours were tried and are worse.
    """

    rate: float
    inside: bool


@dataclass(frozen=True)
class Trained:
    """Networks of one activation and size.

    Attributes:
        parameters: of each.
        choice: of their learning rate.
        errors: the largest error of each network on ``[-1, 1]``, by function and seed; infinite if it diverged.
    """

    parameters: int
    choice: Choice
    errors: Sequence[Sequence[float]]

    @property
    def finite(self) -> list[float]:
        """Errors of the networks that did not diverge."""
        return [each for each in chain(*self.errors) if math.isfinite(each)]


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval by Student's t.

    Attributes:
        mean: of the values.
        half: of the interval's width.
    """

    mean: float
    half: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Interval | None":
        """Of finite values; None of fewer than two."""
        kept = [value for value in values if math.isfinite(value)]
        if len(kept) < 2:
            return None
        return cls(mean(kept), float(student.ppf(0.975, len(kept) - 1)) * stdev(kept) / math.sqrt(len(kept)))

    @property
    def sign(self) -> int:
        """Of the whole interval; 0 where it has both."""
        return 0 if abs(self.mean) <= self.half else 1 if self.mean > 0 else -1


Built = Mapping[int, Sequence[float]]  # errors of Theorem 3's networks, by parameters and function


def findings(seeds: int, progress: Progress = silent) -> list[Finding]:
    """Errors of trained networks against those of built ones."""
    functions = [Member.drawn(SMOOTHNESS, waves=WAVES, seed=draw) for draw in DRAWS]
    built = _built(functions)
    trained = dict[str, list[Trained]]()
    for done, (name, parameters) in enumerate((name, size) for name in ACTIVATIONS for size in built):
        progress(STAGE, done, len(ACTIVATIONS) * len(built))
        trained.setdefault(name, []).append(train(name, parameters, functions, seeds=seeds))
    return [_finding(built, trained)]


def train(
    activation: str, parameters: int, functions: Sequence[Member], *, seeds: int, steps: int = training.STEPS
) -> Trained:
    """Networks of about so many parameters, at the rate that was best for seeds of its own."""

    def tried(rate: float) -> float:
        wrong = training.errors(activation, parameters, functions, seeds=TUNING, rate=rate, steps=steps)
        return median(chain(*wrong))

    choice = chosen(tried)
    size = training.count(training.Shallow(activation, training.width(activation, parameters)))
    wrong = training.errors(activation, parameters, functions, seeds=range(seeds), rate=choice.rate, steps=steps)
    return Trained(size, choice, wrong)


def chosen(tried: Callable[[float], float]) -> Choice:
    """The learning rate with the smallest error, of a geometric grid that grows until the best lies inside it."""
    found = {rate: tried(rate) for rate in FIRST}
    while len(found) < MOST:
        best = min(found, key=lambda rate: found[rate])
        if min(found) < best < max(found):
            break
        beyond = best * FACTOR if best == max(found) else best / FACTOR
        found[beyond] = tried(beyond)
    best = min(found, key=lambda rate: found[rate])
    return Choice(best, min(found) < best < max(found))


def slopes(trained: Sequence[Trained], built: Built) -> tuple[Interval | None, Interval | None]:
    """Of each network's error over parameters, and how much flatter that is than what is built for its function."""
    sizes, beside = [each.parameters for each in trained], [list(each) for each in zip(*built.values(), strict=True)]
    own = [
        (slope(sizes, errors), slope(list(built), beside[function]))
        for function in range(len(beside))
        for errors in zip(*(each.errors[function] for each in trained), strict=True)
        if all(map(math.isfinite, errors))
    ]
    return Interval.of(ours for ours, _ in own), Interval.of(ours - theirs for ours, theirs in own)


def against(trained: Trained, built: Sequence[float]) -> Interval | None:
    """``ln`` of trained errors over the built one of the same function."""
    pairs = zip(trained.errors, built, strict=True)
    return Interval.of(math.log(error / beside) for errors, beside in pairs for error in errors)


def _built(functions: Sequence[Member]) -> Built:
    points, found = sample(1), dict[int, list[float]]()
    for cells in CELLS:
        for function in functions:
            network = construction.build(construction.POLYRELU, function, cells)
            error = float(np.abs(network(points) - function(points)).max())
            found.setdefault(network.size.parameters, []).append(error)
    return found


def _finding(built: Built, trained: Mapping[str, Sequence[Trained]]) -> Finding:
    exists = curve("PolyReLU, built", list(built), list(map(median, built.values())), paper=-float(SMOOTHNESS))
    drawn = {name: _line(name, found) for name, found in trained.items()}
    lines = [line for line in drawn.values() if line]
    largest, ends = max(built), list(built.values())[-1]
    functions, seeds = len(ends), len(next(iter(trained.values()))[0].errors[0])
    end = {name: against(found[-1], ends) for name, found in trained.items()}
    verdicts = {name: _verdict(interval) for name, interval in end.items()}
    arms = "; ".join(f"{name}: {_of_arm(found, built, end[name])}" for name, found in trained.items())
    return Finding(
        id="learned",
        place="Beside Theorem 3: learned (ours)",
        claim="Whether training finds networks whose errors fall with size as those of the networks that exist. The "
        "paper does not say so; its theorems are about existence.",
        holds=None,
        measured=f"On {functions} functions of F({SMOOTHNESS},1) of {WAVES} waves, one hidden layer, {seeds} seeds "
        f"each, {training.STEPS} steps of Adam, more of which may show otherwise; "
        f"built networks fall with a slope of {exists.slope:.2f} and have an error of {_range(ends)} at "
        f"{largest:,} parameters. Trained ones, with 95 % intervals over seeds and functions: {arms}. "
        f"{_unsettled(trained)}PolyNorm divides by the size of the whole hidden row, so that a neuron is no function "
        "of its own input alone: the theorems do not cover it.",
        numbers=_numbers(built, trained),
        curves=(exists, *lines),
        x_label="parameters",
        y_label="largest error",
        title="trained networks beside the ones that are built",
        key=f"at {largest:,}: " + ", ".join(f"{name} {word}" for name, word in verdicts.items()),
    )


def _line(name: str, trained: Sequence[Trained]) -> Curve | None:
    """Of the networks that stayed finite; None where fewer than two sizes have any."""
    kept = [each for each in trained if each.finite]
    if len(kept) < 2:
        return None
    return spread(f"{name}, trained", [each.parameters for each in kept], [each.finite for each in kept])


def _of_arm(trained: Sequence[Trained], built: Built, end: Interval | None) -> str:
    fall, flatter = slopes(trained, built)
    last = trained[-1]
    rates = ", ".join(f"{each.choice.rate:.2g}" for each in trained)
    wrong = f"{median(last.finite):.1e} ({_range(last.finite)})" if last.finite else "none stayed finite"
    diverged = sum(len(list(chain(*each.errors))) - len(each.finite) for each in trained)
    return (
        f"slope {_pm(fall)}, {_than(flatter)} the built ones'; at {last.parameters:,} parameters {wrong}, "
        f"{_verdict(end)} the built ones'; learning rates {rates}" + (f"; {diverged} diverged" if diverged else "")
    )


def _unsettled(trained: Mapping[str, Sequence[Trained]]) -> str:
    edges = [
        f"{name} at {each.parameters:,}" for name, arm in trained.items() for each in arm if not each.choice.inside
    ]
    return f"The best learning rate was at an edge of those tried: {', '.join(edges)}. " if edges else ""


def _verdict(interval: Interval | None) -> str:
    """Of a trained error beside a built one."""
    return "not comparable to" if interval is None else {-1: "below", 0: "not told from", 1: "above"}[interval.sign]


def _than(interval: Interval | None) -> str:
    words = {-1: "steeper than", 0: "not told from", 1: "flatter than"}
    return "not comparable to" if interval is None else words[interval.sign]


def _pm(interval: Interval | None) -> str:
    return "not known" if interval is None else f"{interval.mean:.2f} \N{PLUS-MINUS SIGN} {interval.half:.2f}"


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.1e} to {max(values):.1e}"


def _numbers(built: Built, trained: Mapping[str, Sequence[Trained]]) -> dict[str, float | int | str]:
    """Errors of every network, with the rate of its arm; a network that diverged has no error."""
    found: dict[str, float | int | str] = {
        f"built_{size}_f{f}": error for size, errors in built.items() for f, error in enumerate(errors)
    }
    for name, arm in trained.items():
        for each in arm:
            found[f"{name}_{each.parameters}_rate"] = each.choice.rate
            for f, errors in enumerate(each.errors):
                for seed, error in enumerate(errors):
                    found[f"{name}_{each.parameters}_f{f}_seed{seed}"] = error if math.isfinite(error) else "diverged"
    return found
