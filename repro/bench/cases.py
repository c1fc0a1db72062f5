"""The networks whose training steps are timed, and how much of them fits on a GPU at once."""

from dataclasses import dataclass

from repro.bench.timing import SCRATCH
from repro.recipe import LanguageRecipe, Machine, Recipe, load, machine
from repro.recipe.images import ImageRecipe
from repro.recipe.memory import GB, Memory, memory
from repro.recipe.plan import USABLE, fit


@dataclass(frozen=True)
class Case:
    """Networks that take turns: a scale with each of ``activations``, or with one at each of two ``depths``.

    The second is for a scale that does not fit on one GPU. ``planned_on`` is the machine whose plan says how many
    sequences or images are taken at a time.
    """

    scale: str
    activations: tuple[str, ...]
    planned_on: str
    depths: tuple[int, ...] = ()

    def __str__(self) -> str:
        at = f" at {self.layers} layers" if self.depths else ""
        return " and ".join(self.whole()) + at

    @property
    def layers(self) -> str:
        """The depths in words, such as ``2 and 6``."""
        return " and ".join(map(str, self.depths))

    def whole(self) -> dict[str, Recipe]:
        """The recipes by name."""
        return {name: load(name, []) for name in (f"{self.scale}-{activation}" for activation in self.activations)}

    def timed(self) -> dict[str, Recipe]:
        """What takes turns, by what it is called."""
        if not self.depths:
            return self.whole()
        (name,) = self.whole()
        return {f"{name}, {depth} layers": load(name, [f"model.n_layers={depth}"]) for depth in self.depths}


CASES = [
    Case("dense-1b", ("swiglu", "polynorm"), "gpu"),
    *(Case("moe-1b7b", (activation,), "h100-8x8", depths=(2, 6)) for activation in ("swiglu", "polynorm")),
    Case("resnet50-imagenet", ("relu", "polynorm"), "gpu"),
]


def at_a_time(case: Case, gpu: Machine) -> int:
    """Sequences or images: as planned for the whole recipe, halved until all that take turns fit; 0 if none does."""
    planned = min(fit(recipe, machine(case.planned_on)).micro_batch for recipe in case.whole().values())
    while planned and need(case, gpu, planned) > USABLE * gpu.memory_gb:
        planned //= 2
    return planned


def need(case: Case, gpu: Machine, micro_batch: int) -> float:
    """GB for weights and gradients of all, what one works with or the moments of the first, and for the clock."""
    each = [memory(recipe, gpu, micro_batch) for recipe in case.timed().values()]
    held = sum(part.weights + part.gradients for part in each)
    return held + max(each[0].moments, *map(worked_with, each)) + 4 * SCRATCH / GB


def worked_with(part: Memory) -> float:
    """GB that a micro-batch needs above what is held between steps."""
    return part.gathered + part.activations + part.loss


def of_what(case: Case) -> str:
    """Such as ``sequences of 4,096 tokens``."""
    recipe = next(iter(case.whole().values()))
    if isinstance(recipe, ImageRecipe):
        return f"images of {recipe.data.size} x {recipe.data.size} pixels"
    assert isinstance(recipe, LanguageRecipe)
    return f"sequences of {recipe.data.context:,} tokens"
