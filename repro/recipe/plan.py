"""How a recipe fits on a machine, and what it will cost: before anything is built, and without torch."""

from collections.abc import Iterator
from dataclasses import dataclass

from repro.recipe.communication import Communication
from repro.recipe.counting import count, per_image, per_token
from repro.recipe.families import MoERecipe
from repro.recipe.flops import FlopsPerToken
from repro.recipe.images import ImageRecipe, ResNetRecipe
from repro.recipe.layout import Fit, largest, misfit, smallest
from repro.recipe.memory import Memory, checkpoint_gb, memory
from repro.recipe.parameters import Parameters, ffn_match_residual
from repro.recipe.preparation import Preparation, preparation
from repro.recipe.schema import LanguageRecipe, Machine, Model, Recipe
from repro.recipe.science import Difference, differences
from repro.recipe.speed import forecast, mfu

NORMALISED = 32  # images that a batch norm sees at a time in torchvision V1; a plan far from it says so


@dataclass(frozen=True)
class Plan:
    """What ``repro plan`` prints; ``dataclasses.asdict`` of it is ``repro plan --json``.

    ``memory_gb`` and its parts are one device's, for the micro-batch of ``fit``, or for a single sequence where not
    even that fits; ``misfit`` then says so, and speed and hours are unknown. Those are a forecast, and ``mfu`` (causal
    convention) is what it comes to, waiting included. ``communication`` is null on one device, ``gpu_hours`` on a CPU,
    ``preparation`` where a run makes its data itself or the data are one's own.
    """

    recipe: str
    machine: str
    parameters: Parameters
    ffn_match_residual: float | None
    flops_per_token: FlopsPerToken | None
    tokens: int | None
    flops_per_sample: int | None
    samples: int | None
    steps: int
    total_flops: float
    fit: Fit | None
    misfit: str | None
    memory_gb: float
    memory_parts_gb: Memory
    mfu: float
    communication: Communication | None
    tokens_per_second: float | None
    samples_per_second: float | None
    hours: float | None
    gpu_hours: float | None
    checkpoint_gb: float
    preparation: Preparation | None
    notes: tuple[str, ...]
    differences: tuple[Difference, ...]


def plan(recipe: Recipe, machine: Machine) -> Plan:
    """The plan of ``recipe`` on ``machine``.

    Raises:
        RecipeError: the devices cannot share the global batch evenly.
    """
    found = largest(recipe, machine)
    need = memory(recipe, machine, found or smallest(recipe, machine))
    counted, work = count(recipe.model), _work(recipe)
    step = forecast(recipe, machine, found, work.flops * work.a_step) if found else None
    speed = work.a_step / step.seconds if step else None
    hours = work.items / speed / 3600 if speed else None
    text = isinstance(recipe, LanguageRecipe)
    return Plan(
        recipe=recipe.name,
        machine=machine.name,
        parameters=counted,
        ffn_match_residual=ffn_match_residual(recipe.model) if isinstance(recipe.model, Model) else None,
        flops_per_token=per_token(recipe) if isinstance(recipe, LanguageRecipe) else None,
        tokens=work.items if text else None,
        flops_per_sample=None if text else work.flops,
        samples=None if text else work.items,
        steps=recipe.steps,
        total_flops=float(work.flops * work.items),
        fit=found,
        misfit=None if found else misfit(recipe, machine),
        memory_gb=need.total,
        memory_parts_gb=need,
        mfu=step.mfu if step else mfu(recipe, machine),
        communication=step.communication if step else None,
        tokens_per_second=speed if text else None,
        samples_per_second=None if text else speed,
        hours=hours,
        gpu_hours=hours * machine.world_size if hours and machine.accelerator == "cuda" else None,
        checkpoint_gb=checkpoint_gb(recipe),
        preparation=preparation(recipe, machine) if isinstance(recipe, LanguageRecipe) else None,
        notes=tuple(_notes(recipe, machine, found)),
        differences=differences(recipe),
    )


@dataclass(frozen=True)
class Work:
    """How many tokens or images are in a run and in a step, and the training FLOPs of one (of tokens, causally)."""

    items: int
    a_step: int
    flops: int


def _work(recipe: Recipe) -> Work:
    if isinstance(recipe, ImageRecipe):
        return Work(recipe.steps * recipe.batch, recipe.batch, per_image(recipe))
    assert isinstance(recipe, LanguageRecipe)
    return Work(recipe.budget.tokens, recipe.budget.tokens_per_step, per_token(recipe).causal)


def _notes(recipe: Recipe, machine: Machine, found: Fit | None) -> Iterator[str]:
    if isinstance(recipe, MoERecipe) and machine.synchronous_grouped_mm:
        yield (
            "the grouped product of experts waits for the processor on this device, which has no fused kernel for it "
            "(torch has one from compute capability 9.0 on): expect less than this speed"
        )
    if isinstance(recipe, LanguageRecipe) and recipe.data.document_mask:
        yield (
            "attention reads a mask of each sequence, with which it cannot skip what lies ahead as it does without: "
            "expect less than this speed"
        )
    if isinstance(recipe, ResNetRecipe) and found and not NORMALISED / 2 <= found.micro_batch <= 2 * NORMALISED:
        yield (
            f"a batch norm sees the micro-batch of one device, {found.micro_batch} images here and {NORMALISED} in "
            "torchvision V1: results change with it, most of all where the images are few"
        )
