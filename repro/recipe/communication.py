"""What devices tell each other in a step, and how long they wait for it: a model on paper, untried.

**Volumes** are of each device, which sends as much as it receives. Every exchange runs around a ring: gathering or
summing ``V`` bytes among n devices takes ``(n - 1) / n V`` through each link, averaging, which is both, twice that.

- ``fsdp2`` gathers all weights for every micro-batch, since they are given back after its backward pass in any case,
  and with ``reshard`` twice: in the type that is computed with, activations that learn and routers in float32. It sums
  float32 gradients among the devices of a copy once a step or, with ``reduce_each``, for every micro-batch; and copies
  of the model average the share of them that each device holds, once a step.
- ``ddp`` is the case of a copy on each device: float32 gradients are averaged once a step.

**Rates.** Inside a node a ring goes at ``link_gb_s``. A ring over several nodes passes the devices of one before it
goes on to the next, so all of its volume leaves each node once; it is laid as several, one through each network card,
and goes at the least of ``link_gb_s`` and ``network_gb_s``, which is all cards' together. Where copies average there is
a ring for each device that shares one out; those of a node's devices are at work at once and share ``network_gb_s``.

**Overlap.** On a GPU what a block needs or gives is on its way while its neighbours compute. Waited for are the first
weights of each pass and the last gradients, those of the root and of one block, which have no neighbour; and what a
pass exchanges for longer than it computes. A network of one unit hides nothing, nor does a CPU, which does both itself.

Left out: the latency of each exchange, which tells where shards are small or nodes many; networks that are shared with
others or narrower between racks; devices that wait for the slowest.
"""

from dataclasses import dataclass

from repro.recipe import parameters
from repro.recipe.counting import count
from repro.recipe.families import MoEModel
from repro.recipe.layout import Fit
from repro.recipe.memory import GB, bytes_per_number
from repro.recipe.schema import LanguageRecipe, Machine, Model, Recipe, TextModel

# Of a link's or a network's rate that an exchange reaches. Ours: nccl-tests, whose messages of gigabytes are easier
# than a block's 100 MB, find about 200 of an A100's 300 GB/s in a node (NVIDIA/nccl-tests#149) and 91 of the 100 GB/s
# of four network cards (#100).
EFFICIENCY = 0.7
BUCKET = 25 * 2**20  # bytes of gradients that DDP averages at a time (torch's default)
FORWARD = 1 / 3  # of a micro-batch's arithmetic, and what is added where blocks are computed again


@dataclass(frozen=True)
class Communication:
    """Of a step, on each device.

    Attributes:
        gathered_gb: weights.
        reduced_gb: gradients, summed among the devices of a copy.
        copies_gb: gradients, averaged over copies of the model.
        rate_gb_s: within a copy, after ``EFFICIENCY``.
        copies_rate_gb_s: between copies.
        seconds: all of it, one after another.
        exposed_seconds: during which nothing is computed.
        computation_seconds: which the rest hides behind.
    """

    gathered_gb: float
    reduced_gb: float
    copies_gb: float
    rate_gb_s: float
    copies_rate_gb_s: float
    seconds: float
    exposed_seconds: float
    computation_seconds: float


def communication(recipe: Recipe, machine: Machine, layout: Fit, computation: float) -> Communication | None:
    """Of a step that computes for ``computation`` seconds; None on one device."""
    if machine.world_size == 1:
        return None
    once, (rate, between) = volumes(recipe, machine, layout), rates(machine, layout)
    taken = Exchanges(once.gather / rate, once.reduce / rate, once.average / between)
    passes, edge = _passes(layout, computation, taken), _edge(recipe, machine)
    return Communication(
        gathered_gb=layout.accumulation * (1 + layout.reshard) * once.gather,
        reduced_gb=(layout.accumulation if layout.reduce_each else 1) * once.reduce,
        copies_gb=once.average,
        rate_gb_s=rate,
        copies_rate_gb_s=between,
        seconds=sum(talk for talk, _ in passes),
        exposed_seconds=sum(edge * talk + max(0.0, (1 - edge) * talk - computed) for talk, computed in passes),
        computation_seconds=computation,
    )


@dataclass(frozen=True)
class Exchanges:
    """GB or seconds: to gather all weights, to sum all gradients within a copy, to average them over copies; once."""

    gather: float
    reduce: float
    average: float


def volumes(recipe: Recipe, machine: Machine, layout: Fit) -> Exchanges:
    """GB through each device's link; what torch pads uneven shards with is not counted."""
    gradients = 4 * count(recipe.model).total / GB
    among, copies = layout.shard, machine.world_size // layout.shard
    ring = (among - 1) / among
    return Exchanges(
        gather=ring * _weights(recipe, machine) / GB,
        reduce=ring * gradients,
        average=2 * (copies - 1) / copies * gradients / among,
    )


def rates(machine: Machine, layout: Fit) -> tuple[float, float]:
    """GB/s of a ring within a copy of the model, and of each between copies; the module says how they come about."""
    link, network = machine.link_gb_s, machine.network_gb_s or machine.link_gb_s
    crossing = machine.nodes > 1
    rings = min(layout.shard, machine.devices)
    within = min(link, network) if crossing and machine.devices % layout.shard else link
    return EFFICIENCY * within, EFFICIENCY * (min(link, network / rings) if crossing else link)


def _weights(recipe: Recipe, machine: Machine) -> int:
    """Bytes of all weights as they are gathered; classifiers of images compute in bfloat16 by autocast instead."""
    model, counted = recipe.model, count(recipe.model)
    if not isinstance(recipe, LanguageRecipe):
        return 4 * counted.total
    routers = model.n_layers * model.experts * model.d_model if isinstance(model, MoEModel) else 0
    width, in_float32 = bytes_per_number(recipe, machine), counted.coefficients + routers
    return width * (counted.total - in_float32) + 4 * in_float32


def _passes(layout: Fit, computation: float, taken: Exchanges) -> list[tuple[float, float]]:
    """Seconds of talk and of computation in each pass of a step, two for a micro-batch."""
    micro = computation / layout.accumulation
    forward = micro * (FORWARD / (1 + FORWARD) if layout.recompute else FORWARD)
    again = taken.gather if layout.reshard else 0.0
    talks = [again + (taken.reduce if layout.reduce_each else 0.0)] * (layout.accumulation - 1)
    talks.append(again + taken.reduce + taken.average)
    return [*[(taken.gather, forward)] * layout.accumulation, *((talk, micro - forward) for talk in talks)]


def _edge(recipe: Recipe, machine: Machine) -> float:
    """The part of a pass's talk that has no neighbour to hide behind."""
    model, total = recipe.model, count(recipe.model).total
    if machine.accelerator == "cpu":
        return 1.0
    if recipe.layout.strategy == "ddp":
        return min(1.0, BUCKET / (4 * total))
    if not isinstance(model, TextModel):
        return 1.0
    block = parameters.block(model) if isinstance(model, Model) else 2 * model.d_model**2
    return min(1.0, (block + 2 * model.vocab_size * model.d_model) / total)
