"""What a training step pays for its data: against the step that ``plan`` forecasts on an H100; a sleep stands in."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter, process_time, sleep

from repro.bench.rows import Figure
from repro.data.manifest import Prepared
from repro.data.text import TextData
from repro.recipe import LanguageRecipe, load, machine
from repro.recipe.layout import Fit
from repro.recipe.plan import plan

RECIPES = ("dense-4m-polynorm", "dense-124m-polynorm", "dense-1b-polynorm", "moe-1b7b-polynorm")
MACHINES = ("gpu", "h100-8x8")  # one H100, and where a recipe does not fit on it, one of 64
STEPS = 100  # loaded at a time
ROUNDS = 5
SLEPT = 0.5  # seconds of each round
PAUSE = 0.05  # seconds at most: what comes next was long loaded, so that a longer step changes nothing


@dataclass(frozen=True)
class Step:
    """One device's part of a training step, and how long it is forecast to take."""

    recipe: LanguageRecipe
    machine: str
    fit: Fit
    seconds: float

    def __str__(self) -> str:
        sequences = f"{self.fit.accumulation} x {self.fit.micro_batch} sequences"
        return f"{self.recipe.name} on {self.machine}, {sequences}"

    def data(self, prepared: Prepared, *, steps: int, workers: int) -> TextData:
        """What loads it."""
        context = self.recipe.data.context
        return TextData(
            prepared,
            context=context,
            sequences_per_step=self.fit.accumulation * self.fit.micro_batch,
            micro_batch=self.fit.micro_batch,
            steps=steps,
            seed=0,
            workers=workers,
            validation_tokens=context,
        )


def measure(prepared: Prepared) -> Iterator[Figure]:
    """For each recipe the time of one core to load a step's sequences, and the time that the training process waits for
    them where they are read ahead as the recipe says, without the copy to a GPU; both also as a share of the step. Of
    the waits the 99th percentile is told as well, in which what others do on the machine counts too.

    A thread that reads ahead takes turns with the step at Python's lock. A step that waits for its GPU, as the sleep
    does, does not notice; one that keeps the processor busy all the time pays for the reading as well.
    """
    for step in map(_step, RECIPES):
        workers = step.recipe.data.workers
        loads = statistics.median(_loading(prepared, step) for _ in range(ROUNDS))
        waits = [wait for _ in range(ROUNDS) for wait in _waits(prepared, step, workers)]
        waiting = f"training waits for {f'{workers} workers' if workers else 'a thread'}"
        slow = statistics.quantiles(waits, n=100, method="inclusive")[-1]
        medians = {"one core loads": loads, f"{waiting}, median": statistics.median(waits)}
        for what, seconds in (medians | {f"{waiting}, 99th percentile": slow}).items():
            yield Figure(f"{step}: {what}", 1000 * seconds, "ms a step")
            yield Figure(f"{step}: {what}", 100 * seconds / step.seconds, "% of the step")


def _step(name: str) -> Step:
    recipe = load(name)
    assert isinstance(recipe, LanguageRecipe)
    plans = (plan(recipe, machine(place)) for place in MACHINES)
    found = next(each for each in plans if each.fit)
    assert found.fit
    assert found.tokens_per_second
    return Step(recipe, found.machine, found.fit, recipe.budget.tokens_per_step / found.tokens_per_second)


def _loading(prepared: Prepared, step: Step) -> float:
    """Seconds of the processor for one step, the order and the opening of shards included."""
    loader = step.data(prepared, steps=STEPS, workers=0).train_dataloader()
    loader.prefetched = 0  # no thread, which costs as much again for small batches
    start = process_time()
    assert sum(len(batch) for batch in loader) == STEPS * step.fit.accumulation * step.fit.micro_batch
    return (process_time() - start) / STEPS


def _waits(prepared: Prepared, step: Step, workers: int) -> list[float]:
    """Seconds by the clock until a micro-batch is there, times those of a step."""
    pause = min(PAUSE, step.seconds / step.fit.accumulation)
    batches = iter(step.data(prepared, steps=STEPS, workers=workers).train_dataloader())
    next(batches)  # starts who reads
    waits = []
    for _ in range(min(STEPS - 1, int(SLEPT / pause))):
        sleep(pause)
        start = perf_counter()
        next(batches)
        waits.append((perf_counter() - start) * step.fit.accumulation)
    return waits
