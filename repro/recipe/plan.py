"""How a recipe fits on a machine, and what it will cost: before anything is built, and without torch."""

import bisect
import functools
from dataclasses import dataclass

from repro.errors import RecipeError
from repro.recipe import flops, parameters
from repro.recipe.flops import FlopsPerToken
from repro.recipe.memory import GB, Memory, memory
from repro.recipe.parameters import Parameters
from repro.recipe.schema import Machine, Recipe
from repro.recipe.science import Difference, differences
from repro.recipe.speed import mfu, tokens_per_second

USABLE = 0.9  # of a device's memory; the rest is for the CUDA context, communication buffers and fragmentation


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
    ffn_match_residual: float
    flops_per_token: FlopsPerToken
    tokens: int
    steps: int
    total_flops: float
    fit: Fit | None
    misfit: str | None
    memory_gb: float
    memory_parts_gb: Memory
    mfu: float
    tokens_per_second: float | None
    hours: float | None
    gpu_hours: float | None
    checkpoint_gb: float
    differences: tuple[Difference, ...]


def plan(recipe: Recipe, machine: Machine) -> Plan:
    """The plan of ``recipe`` on ``machine``.

    Raises:
        RecipeError: the devices cannot share the global batch evenly.
    """
    found = _largest(recipe, machine)
    need = memory(recipe, machine, found.micro_batch if found else 1)
    counted = parameters.count(recipe.model)
    per_token = flops.per_token(recipe.model, recipe.data.context)
    speed = tokens_per_second(recipe, machine) if found else None
    hours = recipe.budget.tokens / speed / 3600 if speed else None
    return Plan(
        recipe=recipe.name,
        machine=machine.name,
        parameters=counted,
        ffn_match_residual=parameters.ffn_match_residual(recipe.model),
        flops_per_token=per_token,
        tokens=recipe.budget.tokens,
        steps=recipe.steps,
        total_flops=float(per_token.causal * recipe.budget.tokens),
        fit=found,
        misfit=None if found else _misfit(recipe, machine, need),
        memory_gb=need.total,
        memory_parts_gb=need,
        mfu=mfu(recipe, machine),
        tokens_per_second=speed,
        hours=hours,
        gpu_hours=hours * machine.world_size if hours and machine.accelerator == "cuda" else None,
        checkpoint_gb=12 * counted.total / GB,  # weights and two moments in float32
        differences=differences(recipe),
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
    """Sequences of a step for each device."""
    sequences, devices = recipe.sequences_per_step, machine.world_size
    if sequences % devices:
        unit = devices * recipe.data.context
        fitting = max(1, round(recipe.budget.tokens_per_step / unit)) * unit
        raise RecipeError(
            f"{recipe.name} has {sequences} sequences a step, which the {devices} devices of machine {machine.name!r} "
            f"cannot share evenly; the nearest batch that they can make is budget.tokens_per_step={fitting}"
        )
    return sequences // devices


def _misfit(recipe: Recipe, machine: Machine, need: Memory) -> str:
    return (
        f"{recipe.name} does not fit on machine {machine.name!r}: one sequence at a time needs {need.total:.1f} GB on "
        f"each device, which has {machine.memory_gb:.1f} GB ({USABLE:.0%} of it usable); --on chooses another"
    )
