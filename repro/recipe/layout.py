"""How a model lies on a machine and how the global batch is made there: worked out, unless the recipe says it."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from repro.errors import RecipeError
from repro.recipe.counting import count
from repro.recipe.families import MoEModel
from repro.recipe.memory import memory
from repro.recipe.parameters import ffn_width
from repro.recipe.schema import DecoderRecipe, LanguageRecipe, Machine, Recipe

USABLE = 0.9  # of a device's memory; the rest is for the CUDA context, communication buffers and fragmentation
ENOUGH = 16_384  # tokens at a time that keep a GPU busy; each of 64 experts has 2,048 of them. Ours


@dataclass(frozen=True)
class Fit:
    """A batch and a layout.

    Attributes:
        micro_batch: sequences or images at a time on each device.
        accumulation: how many times before a step.
        shard: devices that share out one copy of the model's weights, gradients and moments; the others hold copies.
        recompute: the backward pass computes a block's activations again instead of keeping them.
        reduce_each: gradients are summed over devices after each micro-batch, not once a step.
        reshard: weights are given back after a block's forward pass and gathered again for its backward pass.
    """

    micro_batch: int
    accumulation: int
    shard: int = 1
    recompute: bool = False
    reduce_each: bool = False
    reshard: bool = False


def fit(recipe: Recipe, machine: Machine) -> Fit:
    """The first of :func:`layouts` with which ``ENOUGH`` tokens at a time fit ``USABLE`` of a device's memory, and with
    it the largest micro-batch that fits and divides a device's share of a step.

    Raises:
        RecipeError: the devices cannot share the global batch or the model evenly, or nothing fits.
    """
    found = largest(recipe, machine)
    if found is None:
        raise RecipeError(misfit(recipe, machine))
    return found


def largest(recipe: Recipe, machine: Machine) -> Fit | None:
    """The fit, or None where nothing fits.

    Raises:
        RecipeError: the devices cannot share the global batch or the model evenly.
    """
    share = _share(recipe, machine)
    filled = [_filled(recipe, machine, layout, share) for layout in layouts(recipe, machine)]
    fitting = [found for found in filled if found]
    without = [found for found in fitting if not found.recompute]
    full = (found for found in without if found.micro_batch >= min(share, _enough(recipe)))
    # Else the most at a time: a device waits longer for small products than for what it is told twice.
    return next(full, None) or max(without or fitting, key=lambda found: found.micro_batch, default=None)


def smallest(recipe: Recipe, machine: Machine) -> Fit:
    """The layout of a single sequence or image that needs least memory, whether it fits or not."""
    return min(layouts(recipe, machine), key=lambda layout: memory(recipe, machine, layout).total)


def layouts(recipe: Recipe, machine: Machine) -> Iterator[Fit]:
    """Layouts to try, in this order, each with one sequence or image at a time.

    Copies of the model in each node come before one over all of them: small messages then stay inside nodes. By
    bandwidth alone, which is all that ``plan`` forecasts, one copy can be up to a tenth faster. Then comes what saves
    memory: weights gathered twice, gradients reduced more often, and last activations computed twice.

    Raises:
        RecipeError: the recipe asks for what has no effect here, or what devices cannot share.
    """
    _refuse_without_effect(recipe, machine)
    wanted, share = recipe.layout, _share(recipe, machine)
    sharded, alone = shares_out(recipe, machine), machine.world_size == 1
    recompute = _choices(wanted.recompute, (False, True) if sharded and isinstance(recipe, DecoderRecipe) else (False,))
    reshard = _choices(wanted.reshard, (False, True) if sharded else (False,))
    reduce_each = _choices(wanted.reduce_each, (True,) if alone else (False, True) if sharded else (False,))
    for shard, *options in itertools.product(_shards(recipe, machine), recompute, reduce_each, reshard):
        yield Fit(1, share, shard, *options)


def shares_out(recipe: Recipe, machine: Machine) -> bool:
    """Whether FSDP2 lays the model out; one processor trains the bare model, and under ddp each device has it whole."""
    return recipe.layout.strategy == "fsdp2" and not machine.one_processor


def _refuse_without_effect(recipe: Recipe, machine: Machine) -> None:
    wanted, sharded = recipe.layout, shares_out(recipe, machine)
    idle = [key for key in ("reshard", "reduce_each", "compile") if getattr(wanted, key) and not sharded]
    if wanted.recompute and not (sharded and isinstance(recipe, DecoderRecipe)):
        idle.append("recompute")
    if (wanted.shard or 1) > 1 and not sharded:
        idle.append("shard")
    if idle:
        whole = "each device holds the whole model" if machine.world_size > 1 else "one device trains the whole model"
        why = "its blocks are not those of a decoder" if sharded else whole
        raise RecipeError(f"layout.{idle[0]} has no effect on {recipe.name} on machine {machine.name!r}: {why}")


def misfit(recipe: Recipe, machine: Machine) -> str:
    """What is missing, in a line."""
    need = memory(recipe, machine, smallest(recipe, machine))
    return (
        f"{recipe.name} does not fit on machine {machine.name!r}: one {item(recipe)} at a time needs "
        f"{need.total:.1f} GB on each device, {need.states:.1f} GB of it for float32 weights, gradients and moments of "
        f"{count(recipe.model).total:,} parameters; a device has {machine.memory_gb:.1f} GB ({USABLE:.0%} of it "
        "usable); --on chooses another"
    )


def item(recipe: Recipe) -> str:
    """What a batch is made of."""
    return "sequence" if isinstance(recipe, LanguageRecipe) else "image"


def _shards(recipe: Recipe, machine: Machine) -> list[int]:
    """Numbers of devices to share one copy of the model."""
    if not shares_out(recipe, machine):
        return [1]
    asked = recipe.layout.shard
    if asked and machine.world_size % asked:
        raise RecipeError(
            f"layout.shard={asked} does not divide the {machine.world_size} devices of machine {machine.name!r}"
        )
    possible = [asked] if asked else sorted({machine.devices, machine.world_size})
    dividing = [ranks for ranks in possible if _divides(recipe, ranks)]
    if not dividing:
        raise RecipeError(
            f"{recipe.name} cannot be shared out over {' or '.join(map(str, possible))} devices of machine "
            f"{machine.name!r}, which divide neither its experts nor their width; layout.shard sets another number"
        )
    return dividing


def _divides(recipe: Recipe, ranks: int) -> bool:
    """Whether so many devices can share experts, which torch does not pad."""
    model = recipe.model
    if not isinstance(model, MoEModel):
        return True
    return model.experts % ranks == 0 or (ffn_width(model) % ranks == 0 and model.d_model % ranks == 0)


def _choices(wanted: bool | None, possible: tuple[bool, ...]) -> tuple[bool, ...]:
    return possible if wanted is None else (wanted,)


def _enough(recipe: Recipe) -> int:
    """Sequences; of images one, since those share a step's few evenly in any case."""
    return -(-ENOUGH // recipe.data.context) if isinstance(recipe, LanguageRecipe) else 1


def _filled(recipe: Recipe, machine: Machine, layout: Fit, share: int) -> Fit | None:
    """The layout with the largest micro-batch that fits and divides the share, or the one that the recipe asks for."""
    asked = recipe.layout.micro_batch
    sizes = [n for n in range(1, share + 1) if share % n == 0] if asked is None else [asked]
    fits = [replace(layout, micro_batch=n, accumulation=share // n) for n in sizes]
    room = USABLE * machine.memory_gb
    return next((each for each in reversed(fits) if memory(recipe, machine, each).total <= room), None)


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
            f"{recipe.name} has {batch} {item(recipe)}s a step, which the {devices} devices of machine "
            f"{machine.name!r} cannot share evenly; the nearest batch that they can make is {nearest}"
        )
    share, asked = batch // devices, recipe.layout.micro_batch
    if asked and share % asked:
        raise RecipeError(f"layout.micro_batch={asked} does not divide the {share} {item(recipe)}s of a device's share")
    return share
