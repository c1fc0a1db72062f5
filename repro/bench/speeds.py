"""What is told of the times of training steps: speeds, a ratio, and the line to a depth that was not timed."""

from collections.abc import Iterator, Mapping

from repro.bench.cases import Case
from repro.bench.rows import Reading
from repro.recipe import LanguageRecipe, Machine, Recipe
from repro.recipe.counting import per_image, per_token
from repro.recipe.images import ImageRecipe
from repro.recipe.schema import Model

Times = Mapping[str, list[float]]  # milliseconds of each round, by what took them


def readings(case: Case, times: Times, micro_batch: int, gpu: Machine) -> Iterator[Reading]:
    """Of a case: each network's time, speed and MFU, and the ratio; at two depths their times and the whole's speed."""
    if case.depths:
        yield from _deeper(case, times, micro_batch, gpu)
        return
    for name, recipe in case.timed().items():
        yield from _speed(f"{name}, {part(recipe)}", recipe, times[name], micro_batch, gpu)
    yield _ratio(case, times)


def part(recipe: Recipe) -> str:
    """What is timed: of language models the passes alone, since many micro-batches make a step."""
    return "training step" if isinstance(recipe, ImageRecipe) else "forward + backward"


def extrapolated(times: Mapping[int, list[float]], depth: int) -> list[float]:
    """What each round's times at two depths come to at another, on the line through them."""
    (shallow, before), (deep, after) = times.items()
    slope = (depth - shallow) / (deep - shallow)
    return [a + (b - a) * slope for a, b in zip(before, after, strict=True)]


def _deeper(case: Case, times: Times, micro_batch: int, gpu: Machine) -> Iterator[Reading]:
    ((name, whole),) = case.whole().items()
    assert isinstance(whole.model, Model)
    for timed, milliseconds in times.items():
        yield Reading.of(f"{timed}, {part(whole)}", "ms", milliseconds)
    line = extrapolated(dict(zip(case.depths, times.values(), strict=True)), whole.model.n_layers)
    label = f"{name}, {part(whole)}, extrapolated from {case.layers} layers"
    yield from _speed(label, whole, line, micro_batch, gpu)


def _speed(label: str, recipe: Recipe, times: list[float], micro_batch: int, gpu: Machine) -> Iterator[Reading]:
    unit, items, flops = _items(recipe)
    speeds = [1000 * micro_batch * items / milliseconds for milliseconds in times]
    yield Reading.of(label, "ms", times)
    yield Reading.of(label, f"{unit}/s", speeds)
    yield Reading.of(label, "% MFU", [speed * flops / gpu.peak_tflops / 1e10 for speed in speeds])


def _items(recipe: Recipe) -> tuple[str, int, int]:
    """What is counted, how many there are in a sequence or an image, and the training FLOPs of one."""
    if isinstance(recipe, ImageRecipe):
        return "images", 1, per_image(recipe)
    assert isinstance(recipe, LanguageRecipe)
    return "tokens", recipe.data.context, per_token(recipe).causal


def _ratio(case: Case, times: Times) -> Reading:
    """How many times as long the second takes as the first, round by round."""
    (first, recipe), (second, _) = case.timed().items()
    label = f"{second} over {case.base}, {part(recipe)}"
    return Reading.of(label, "times", [b / a for a, b in zip(times[first], times[second], strict=True)])
