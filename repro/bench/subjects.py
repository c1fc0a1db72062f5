"""Networks as one GPU trains them, on data made up on the device, and the parts of a step that can be timed."""

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from repro.bench.timing import Work
from repro.models import distribution
from repro.models.init import Distribution
from repro.recipe import LanguageRecipe, Recipe
from repro.recipe.images import ImageRecipe
from repro.training import pictures, text
from repro.training.image_classifier import ImageClassifier
from repro.training.strategy import filling, shard

STD = 0.02  # of made-up weights: the mixture's; the dense models' is 0.014


@dataclass(frozen=True)
class Subject:
    """A network where it is trained, and what can be timed of it.

    ``backward`` is both passes of a micro-batch, whose gradients add up. ``update`` is what follows the last of them:
    the norm of the gradient, which the guard waits for, clipping and the optimizer. The learning rate is 0: the same
    work, and the network stays as it began.
    """

    backward: Work
    update: Work
    clear: Work

    def step(self) -> None:
        """A whole step of one micro-batch."""
        self.clear()
        self.backward()
        self.update()


@contextmanager
def alone(device: torch.device) -> Iterator[DeviceMesh]:
    """A mesh of this process's device, as training has on one GPU. What torch says of DDP there is left unsaid."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    store = torch.distributed.HashStore()  # type: ignore[attr-defined]
    torch.distributed.init_process_group(backend, store=store, rank=0, world_size=1)
    try:
        with warnings.catch_warnings():
            for said in ("`broadcast_buffers` is deprecated", "Grad strides do not match bucket view strides"):
                warnings.filterwarnings("ignore", message=said)
            yield init_device_mesh(device.type, (1,), mesh_dim_names=("dp_shard",))
    finally:
        torch.distributed.destroy_process_group()


def subject(recipe: Recipe, mesh: DeviceMesh, micro_batch: int) -> Subject:
    """What trains ``recipe`` on the device of ``mesh``, ``micro_batch`` sequences or images at a time."""
    if isinstance(recipe, ImageRecipe):
        return _classifier(recipe, mesh, micro_batch)
    assert isinstance(recipe, LanguageRecipe)
    return _language_model(recipe, mesh, micro_batch)


def _language_model(recipe: LanguageRecipe, mesh: DeviceMesh, micro_batch: int) -> Subject:
    device = torch.device(mesh.device_type)
    module = text.module(recipe)
    shard(module.decoder, mesh, recipe.precision if device.type == "cuda" else "fp32")
    _fill(module, device, drawn_on(device))
    batch = torch.randint(recipe.model.vocab_size, (micro_batch, recipe.data.context + 1), device=device)
    return _subject(module, lambda: module.training_step(batch)["loss"], recipe.optim.clip)


def _classifier(recipe: ImageRecipe, mesh: DeviceMesh, micro_batch: int) -> Subject:
    """Images are in the memory format in which a loader hands them over; products are in bfloat16 by autocast."""
    device, size = torch.device(mesh.device_type), recipe.data.size
    module = pictures.module(recipe, seed=0)
    if recipe.layout.strategy == "fsdp2":
        shard(module.network, mesh, "fp32")
    _fill(module, device, distribution(recipe.model))
    images = torch.randint(256, (micro_batch, 3, size, size), device=device, dtype=torch.uint8)
    labels = torch.randint(recipe.model.classes, (micro_batch,), device=device)
    made = _subject(module, lambda: module.loss(images, labels, step=0, part=0), recipe.optim.clip or math.inf)
    if recipe.layout.strategy == "ddp":
        _replicate(module)
    return made


def _replicate(module: ImageClassifier) -> None:
    """As :class:`repro.training.replicated.Replicated`, around the network alone."""
    module.network = DistributedDataParallel(module.network, broadcast_buffers=False, gradient_as_bucket_view=True)


def _fill(module: lightning.LightningModule, device: torch.device, draw: Distribution) -> None:
    module.to_empty(device=device)
    filling(0, draw)(module)


def drawn_on(device: torch.device) -> Distribution:
    """N(0, ``STD``^2), drawn where it will lie: a processor takes minutes for billions of them."""

    def draw(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
        here = torch.Generator(device).manual_seed(generator.initial_seed())
        return torch.empty(shape, device=device).normal_(0, STD, generator=here)

    return draw


def _subject(module: lightning.LightningModule, loss: Callable[[], Tensor], clip: float) -> Subject:
    configured: Any = module.configure_optimizers()
    optimizer = configured["optimizer"]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    parameters = list(module.parameters())

    def update() -> None:
        _waited_for(nn.utils.clip_grad_norm_(parameters, clip))
        optimizer.step()

    return Subject(lambda: loss().backward(), update, optimizer.zero_grad)


def _waited_for(norm: Tensor) -> float:
    return (norm.full_tensor() if isinstance(norm, DTensor) else norm).item()
