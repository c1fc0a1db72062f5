"""A training step without devices: a recipe's model laid out over a machine of any size, in tensors without values.

This process is the first rank of torch's fake process group, whose collectives return at once, and the model is built,
shared out and trained for a step by what trains it for real. Fake tensors have shapes, dtypes and storages but no
numbers, so that torch's memory trackers can add up what a device would hold. They lie on the CPU, where there need not
be a GPU, and say that they lie on one: fused operators and precisions are chosen as there.

What this cannot see: workspaces of operators and collectives, fragmentation, speed. Under ``layout.strategy=ddp`` the
model is not wrapped, since DDP's reducer takes no fake tensors; its buckets are added.
"""

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.distributed._tools.fsdp2_mem_tracker import FSDPMemTracker
from torch.distributed._tools.mem_tracker import MemTracker
from torch.optim import Optimizer
from torch.testing._internal.distributed.fake_pg import FakeStore

from repro.data.images.mixing import normalise
from repro.errors import CheckFailed, RunError
from repro.recipe import Machine, Recipe, layout
from repro.recipe.images import ImageRecipe
from repro.recipe.layout import Fit
from repro.recipe.memory import GB, memory
from repro.recipe.schema import LanguageRecipe
from repro.training import pictures, text
from repro.training.build import sharding
from repro.training.image_classifier import ImageClassifier
from repro.training.language_model import LanguageModel
from repro.training.placement import local_gb, misplaced
from repro.training.sharding import mesh, shard
from repro.training.strategy import FSDP2, networks

FULL = 0.95  # of a device's memory; the rest is for what the trackers cannot see
PARTS = 2  # micro-batches of a step, at most: the second finds what the first has left

Module = LanguageModel | ImageClassifier


@dataclass(frozen=True)
class States:
    """GB (10^9 bytes) on the first device at the end of a step."""

    weights: float
    gradients: float
    moments: float


@dataclass(frozen=True)
class DryRun:
    """What a step showed, on the first device.

    Attributes:
        devices: of the machine, one rank each.
        shard: devices that share out one copy of the model.
        weights: tensors, each found to lie as planned, with its gradient and its moments.
        states_gb: what they take.
        peak_gb: the most that was alive at a time, by torch's tracker.
        parts_gb: the same by the tracker's own kinds.
        plan_gb: what :func:`repro.recipe.memory.memory` says.
        seconds: how long it took here.
    """

    devices: int
    shard: int
    weights: int
    states_gb: States
    peak_gb: float
    parts_gb: dict[str, float]
    plan_gb: float
    seconds: float

    def __str__(self) -> str:
        copies = f", {self.devices // self.shard} copies" if self.devices > self.shard else ""
        lies = f"shared out over {self.shard} devices{copies}" if self.shard > 1 else "whole on each device"
        unit, scale = ("GB", 1) if self.peak_gb >= 1 else ("MB", 1000)
        return (
            f"{self.weights} tensors of weights {lies}; one step of fake tensors in {self.seconds:.0f} s; torch's "
            f"tracker finds {self.peak_gb * scale:.1f} {unit} at the peak, the plan says {self.plan_gb * scale:.1f}"
        )


def dry_run(recipe: Recipe, machine: Machine) -> DryRun:
    """Train ``recipe`` for one step on a machine that is not there.

    Raises:
        RecipeError: the devices cannot share the batch or the model evenly, or it does not fit.
        CheckFailed: something does not lie where the layout says, or the step needs more than a device has.
        RunError: this process is one of several already.
    """
    began, fit = time.perf_counter(), layout.fit(recipe, machine)
    with _first_of(machine.world_size):
        subject = _laid_out(recipe, machine, fit)
        with FakeTensorMode(allow_non_fake_inputs=True):  # such as the means of images, kept from step to step
            subject.module.to_empty(device="cpu")
            optimizer = _optimizer(subject.module)
            parts = _peak(subject, optimizer)
            states = _states(subject, optimizer)
    planned, peak = memory(recipe, machine, fit).total, sum(parts.values())
    if peak > FULL * machine.memory_gb:
        raise CheckFailed(
            f"{recipe.name} does not fit on machine {machine.name!r}: torch's tracker finds {peak:.1f} GB at the peak "
            f"of a step, the plan says {planned:.1f}, and {FULL:.0%} of a device's {machine.memory_gb:.1f} are usable"
        )
    weights, seconds = len(list(subject.module.parameters())), time.perf_counter() - began
    return DryRun(machine.world_size, fit.shard, weights, states, peak, parts, planned, seconds)


@contextlib.contextmanager
def _first_of(ranks: int) -> Iterator[None]:
    """The first of so many ranks that are not there."""
    if dist.is_initialized():
        raise RunError(f"a dry run needs a process of its own; this one is one of {dist.get_world_size()}")
    hook = sys.excepthook
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=ranks)
    try:
        yield
    finally:
        dist.destroy_process_group()
        sys.excepthook = hook  # torch leaves its own, which names a rank


@dataclass(frozen=True)
class _Subject:
    """What trains, and where; without a strategy it lies whole on each device."""

    recipe: Recipe
    machine: Machine
    fit: Fit
    module: Module
    strategy: FSDP2 | None

    def trained(self) -> dict[str, nn.Parameter]:
        """Weights that have gradients, by name."""
        return {name: weight for name, weight in self.module.named_parameters() if weight.requires_grad}

    def check(self, name: str, tensor: Tensor) -> None:
        """See that a tensor is shared out as the layout says.

        Raises:
            CheckFailed: it is not.
        """
        ranks = self.fit.shard
        if self.strategy and (found := misplaced(tensor, ranks, self.machine.world_size)):
            raise CheckFailed(f"{name} {found}, where each of {ranks} devices should have its share")


def _laid_out(recipe: Recipe, machine: Machine, fit: Fit) -> _Subject:
    """The module, its weights shared out but not allocated. It is not compiled, which would move nothing."""
    module, how = _module(recipe), sharding(recipe, machine, fit)
    if how is None:
        return _Subject(recipe, machine, fit, module, None)
    strategy, over = FSDP2(lambda module: None, replace(how, compile=False)), mesh("cpu", machine.world_size, how.ranks)
    strategy.connect(module)
    for network in networks(module):
        shard(network, over, strategy.sharding)
    subject = _Subject(recipe, machine, fit, module, strategy)
    for name, weight in module.named_parameters():
        subject.check(name, weight)
    return subject


def _module(recipe: Recipe) -> Module:
    if isinstance(recipe, ImageRecipe):
        normalise(torch.zeros(1, 3, 1, 1, dtype=torch.uint8))  # keeps its constants, which are not to be fake ones
        return pictures.module(recipe, seed=0)
    assert isinstance(recipe, LanguageRecipe)
    return text.module(recipe)


def _optimizer(module: Module) -> Optimizer:
    """With its moments, which are there from the second step on."""
    configured: Any = module.configure_optimizers()
    optimizer: Optimizer = configured["optimizer"]
    for weight in (each for group in optimizer.param_groups for each in group["params"]):
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    optimizer.zero_grad()
    return optimizer


def _peak(subject: _Subject, optimizer: Optimizer) -> dict[str, float]:
    """GB by kind when most is alive, in the micro-batches of a step.

    Not in what follows them, which makes nothing new on a device; there the tracker would count the whole tensors in
    terms of which DTensor works out the shapes of its parts.
    """
    fit, strategy, batch = subject.fit, subject.strategy, _batch(subject.recipe, subject.fit.micro_batch)
    tracker = _tracker(subject, optimizer, batch)
    with tracker, _said_to_be_on(subject.machine):
        for left in reversed(range(min(fit.accumulation, PARTS))):
            with strategy.block_backward_sync() if left and strategy else contextlib.nullcontext():
                _loss(subject.module, batch).backward()
            tracker.reset_mod_stats()
    found: dict[Any, int] = tracker.get_tracker_snapshot("peak")[torch.device("cpu")]
    return {kind.value: size / GB for kind, size in found.items() if kind != "Total" and size} | _buckets(subject)


def _buckets(subject: _Subject) -> dict[str, float]:
    """Those in which DDP averages gradients."""
    if subject.strategy or subject.machine.one_processor:
        return {}
    return {"Buckets": local_gb(subject.trained().values())}


def _tracker(subject: _Subject, optimizer: Optimizer, batch: Any) -> MemTracker:
    """torch's, told of what is there before; FSDP2's takes weights that are averaged, not trained, for inputs."""
    network, *averaged = networks(subject.module)
    if not subject.strategy:
        plain = MemTracker()
        plain.track_external(subject.module, optimizer, batch)
        return plain
    tracker = FSDPMemTracker(network, optimizer)
    tracker.track_inputs((batch, *(list(each.parameters()) for each in averaged)))
    return tracker


@contextlib.contextmanager
def _said_to_be_on(machine: Machine) -> Iterator[None]:
    """Fake tensors say whether they are on a GPU, as what chooses an operator or a precision asks them."""
    FakeTensor.is_cuda = machine.accelerator == "cuda"
    try:
        yield
    finally:
        del FakeTensor.is_cuda


def _batch(recipe: Recipe, size: int) -> Any:
    """A micro-batch, as it reaches a device."""
    if isinstance(recipe, ImageRecipe):
        images = torch.zeros(size, 3, recipe.data.size, recipe.data.size, dtype=torch.uint8)
        return images.to(memory_format=torch.channels_last), torch.zeros(size, dtype=torch.long)
    assert isinstance(recipe, LanguageRecipe)
    return torch.zeros(size, recipe.data.context + 1, dtype=torch.int32)


def _loss(module: Module, batch: Any) -> Any:
    if isinstance(module, ImageClassifier):
        return module.loss(*batch, step=0, part=0)
    return module.training_step(batch)["loss"]


def _states(subject: _Subject, optimizer: Optimizer) -> States:
    """Clip, step, and see where gradients and moments lie.

    Raises:
        CheckFailed: one of them does not lie as its weight does, or is not there.
    """
    trained = subject.trained()
    missing = [name for name, weight in trained.items() if weight.grad is None]
    if missing:
        raise CheckFailed(f"{missing[0]} has no gradient after a step, one of {len(missing)} such weights")
    torch.nn.utils.clip_grad_norm_(trained.values(), 1.0)
    optimizer.step()
    gradients = {f"the gradient of {name}": weight.grad for name, weight in trained.items() if weight.grad is not None}
    moments = {
        f"{key} of {name}": state
        for name, weight in trained.items()
        for key, state in optimizer.state[weight].items()
        if isinstance(state, Tensor) and state.ndim
    }
    for name, tensor in (gradients | moments).items():
        subject.check(name, tensor)
    return States(*(local_gb(each) for each in (subject.module.parameters(), gradients.values(), moments.values())))
