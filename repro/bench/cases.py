"""The networks whose training steps are timed, and how much of them fits on a GPU at once."""

from dataclasses import dataclass, replace

from repro.bench.timing import SCRATCH
from repro.recipe import LanguageRecipe, Machine, Recipe, load, machine
from repro.recipe.images import ImageRecipe
from repro.recipe.layout import USABLE, Fit, fit
from repro.recipe.memory import GB, Memory, memory

BARE = ", bare"  # after the name of a network that nothing shares out


@dataclass(frozen=True)
class Case:
    """Networks that take turns: a scale with each of ``activations``, or with one at each of two ``depths``.

    The second is for a scale that does not fit on one GPU. ``planned_on`` is the machine whose plan says how many
    sequences or images are taken at a time, and how the network lies there. With ``bare`` a single network takes turns
    with itself as nothing shares it out: see :func:`repro.bench.subjects.bare`.
    """

    scale: str
    activations: tuple[str, ...]
    planned_on: str
    depths: tuple[int, ...] = ()
    bare: bool = False

    def __str__(self) -> str:
        how = f" at {self.layers} layers" if self.depths else ", sharded and bare" if self.bare else ""
        return " and ".join(self.whole()) + how

    @property
    def base(self) -> str:
        """What the second of two is told in multiples of."""
        return "bare" if self.bare else self.activations[0]

    @property
    def layers(self) -> str:
        """The depths in words, such as ``2 and 6``."""
        return " and ".join(map(str, self.depths))

    def whole(self) -> dict[str, Recipe]:
        """The recipes by name."""
        return {name: load(name, []) for name in (f"{self.scale}-{activation}" for activation in self.activations)}

    def timed(self) -> dict[str, Recipe]:
        """What takes turns, by what it is called."""
        if self.depths:
            (name,) = self.whole()
            return {f"{name}, {depth} layers": load(name, [f"model.n_layers={depth}"]) for depth in self.depths}
        return {f"{name}{BARE}": recipe for name, recipe in self.whole().items() if self.bare} | self.whole()


CASES = [
    Case("dense-1b", ("swiglu", "polynorm"), "gpu"),
    Case("dense-1b", ("swiglu", "polyrelu"), "gpu"),
    Case("dense-1b", ("polynorm",), "gpu", bare=True),
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
    each = [memory(recipe, gpu, laid_out(case, micro_batch)) for recipe in case.timed().values()]
    held = sum(part.weights + part.gradients for part in each)
    return held + max(each[0].moments, *map(worked_with, each)) + 4 * SCRATCH / GB


def laid_out(case: Case, micro_batch: int) -> Fit:
    """How the networks lie on the one GPU: as the first is planned, but for what needs others. Their gradients stay."""
    first = next(iter(case.whole().values()))
    return replace(fit(first, machine(case.planned_on)), micro_batch=micro_batch, accumulation=2, shard=1)


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
