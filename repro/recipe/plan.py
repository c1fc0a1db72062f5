"""How a recipe fits on a machine, and what it will cost: before anything is built, and without torch."""

import bisect
import functools
from collections.abc import Iterator
from dataclasses import dataclass

from repro.errors import RecipeError
from repro.recipe.counting import count, per_image, per_token
from repro.recipe.families import MoERecipe
from repro.recipe.flops import FlopsPerToken
from repro.recipe.images import ImageRecipe, ResNetRecipe
from repro.recipe.memory import GB, Memory, copies, memory, moments
from repro.recipe.parameters import Parameters, ffn_match_residual
from repro.recipe.schema import LanguageRecipe, Machine, Model, Recipe
from repro.recipe.science import Difference, differences
from repro.recipe.speed import mfu

USABLE = 0.9  # of a device's memory; the rest is for the CUDA context, communication buffers and fragmentation

NORMALISED = 32  # images that a batch norm sees at a time in torchvision V1; a plan far from it says so


@dataclass(frozen=True)
class Fit:
    """How the global batch is made: sequences at a time on each device, and how many times before a step."""

    micro_batch: int
    accumulation: int


@dataclass(frozen=True)
class Plan:
    """What ``repro plan`` prints; ``dataclasses.asdict`` of it is ``repro plan --json``.

    ``memory_gb`` and its parts are one device's, for the micro-batch of ``fit``, or for a single sequence where not
    even that fits; ``misfit`` then says so, and speed and hours are unknown. Those are a forecast from ``mfu`` (causal
    convention). ``gpu_hours`` is null on a CPU.
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
    tokens_per_second: float | None
    samples_per_second: float | None
    hours: float | None
    gpu_hours: float | None
    checkpoint_gb: float
    notes: tuple[str, ...]
    differences: tuple[Difference, ...]


def plan(recipe: Recipe, machine: Machine) -> Plan:
    """The plan of ``recipe`` on ``machine``.

    Raises:
        RecipeError: the devices cannot share the global batch evenly.
    """
    found = _largest(recipe, machine)
    need = memory(recipe, machine, found.micro_batch if found else 1)
    counted, work = count(recipe.model), _work(recipe)
    speed = mfu(recipe, machine) * machine.peak_tflops * 1e12 * machine.world_size / work.flops if found else None
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
        misfit=None if found else _misfit(recipe, machine, need),
        memory_gb=need.total,
        memory_parts_gb=need,
        mfu=mfu(recipe, machine),
        tokens_per_second=speed if text else None,
        samples_per_second=None if text else speed,
        hours=hours,
        gpu_hours=hours * machine.world_size if hours and machine.accelerator == "cuda" else None,
        checkpoint_gb=4 * (copies(recipe) + moments(recipe)) * counted.total / GB,
        notes=tuple(_notes(recipe, machine, found)),
        differences=differences(recipe),
    )


@dataclass(frozen=True)
class Work:
    """Of a whole run: how many tokens or images, and the training FLOPs of one (of tokens, counted causally)."""

    items: int
    flops: int


def _work(recipe: Recipe) -> Work:
    if isinstance(recipe, ImageRecipe):
        return Work(recipe.steps * recipe.batch, per_image(recipe))
    assert isinstance(recipe, LanguageRecipe)
    return Work(recipe.budget.tokens, per_token(recipe).causal)


def _notes(recipe: Recipe, machine: Machine, found: Fit | None) -> Iterator[str]:
    if isinstance(recipe, MoERecipe) and machine.synchronous_grouped_mm:
        yield (
            "the grouped product of experts waits for the processor on this device, which has no fused kernel for it "
            "(torch has one from compute capability 9.0 on): expect less than this speed"
        )
    if isinstance(recipe, ResNetRecipe) and found and not NORMALISED / 2 <= found.micro_batch <= 2 * NORMALISED:
        yield (
            f"a batch norm sees the micro-batch of one device, {found.micro_batch} images here and {NORMALISED} in "
            "torchvision V1: results change with it, most of all where the images are few"
        )


def fit(recipe: Recipe, machine: Machine) -> Fit:
    """The largest micro-batch that divides a device's share of a step and fits ``USABLE`` of its memory.

    Raises:
        RecipeError: the devices cannot share the global batch evenly, or not even one sequence fits.
    """
    found = _largest(recipe, machine)
    if found is None:
        raise RecipeError(_misfit(recipe, machine, memory(recipe, machine, 1)))
    return found


def _largest(recipe: Recipe, machine: Machine) -> Fit | None:
    share = _share(recipe, machine)
    needs = functools.partial(_needs, recipe, machine)
    fitting = bisect.bisect_right(range(1, share + 1), USABLE * machine.memory_gb, key=needs)
    return next((Fit(n, share // n) for n in range(fitting, 0, -1) if share % n == 0), None)


def _needs(recipe: Recipe, machine: Machine, micro_batch: int) -> float:
    return memory(recipe, machine, micro_batch).total


def _share(recipe: Recipe, machine: Machine) -> int:
    """Sequences or images of a step for each device."""
    batch, devices = recipe.batch, machine.world_size
    if batch % devices:
        fitting = max(1, round(batch / devices)) * devices
        nearest = (
            f"budget.tokens_per_step={fitting * recipe.data.context}"
            if isinstance(recipe, LanguageRecipe)
            else f"budget.samples_per_step={fitting}"
        )
        raise RecipeError(
            f"{recipe.name} has {batch} {_item(recipe)}s a step, which the {devices} devices of machine "
            f"{machine.name!r} cannot share evenly; the nearest batch that they can make is {nearest}"
        )
    return batch // devices


def _item(recipe: Recipe) -> str:
    return "sequence" if isinstance(recipe, LanguageRecipe) else "image"


def _misfit(recipe: Recipe, machine: Machine, need: Memory) -> str:
    return (
        f"{recipe.name} does not fit on machine {machine.name!r}: one {_item(recipe)} at a time needs "
        f"{need.total:.1f} GB on each device, {need.states:.1f} GB of it for float32 weights, gradients and moments of "
        f"{count(recipe.model).total:,} parameters; a device has {machine.memory_gb:.1f} GB ({USABLE:.0%} of it "
        "usable); --on chooses another"
    )
