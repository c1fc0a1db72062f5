"""Networks as one GPU trains them, on data made up on the device, and the parts of a step that can be timed."""

import functools
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
from torch.func import functional_call
from torch.nn.parallel import DistributedDataParallel

from repro.bench.timing import Work
from repro.models import distribution
from repro.models.init import Distribution
from repro.models.parameters import kinds
from repro.recipe import LanguageRecipe, Recipe
from repro.recipe.families import MoEModel
from repro.recipe.images import ImageRecipe
from repro.recipe.layout import Fit
from repro.recipe.schema import Precision
from repro.training import checkpoints, pictures, text
from repro.training.image_classifier import ImageClassifier
from repro.training.language_model import LanguageModel
from repro.training.sharding import Sharding, shard
from repro.training.strategy import filling

STD = 0.02  # of made-up weights: the mixture's; the dense models' is 0.014


@dataclass(frozen=True)
class Subject:
    """A network where it is trained, and what can be timed of it.

    ``backward`` is both passes of a micro-batch, whose gradients add up. ``update`` is what follows the last of them:
    the norm of the gradient, which the guard waits for, clipping and the optimizer. The learning rate is 0: the same
    work, and the network stays as it began. ``state`` is what a checkpoint holds.
    """

    backward: Work
    update: Work
    clear: Work
    state: Callable[[], dict[str, Any]] = dict

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


def subject(recipe: Recipe, mesh: DeviceMesh, layout: Fit) -> Subject:
    """What trains ``recipe`` on the device of ``mesh``, as ``layout`` says and as many at a time."""
    if isinstance(recipe, ImageRecipe):
        return _classifier(recipe, mesh, layout)
    assert isinstance(recipe, LanguageRecipe)
    module, precision = text.module(recipe), _precision(recipe, mesh)
    sharding = Sharding(1, precision, layout.recompute, reshard=layout.reshard, compile=recipe.layout.compile)
    shard(module.decoder, mesh, sharding)
    return _language_model(module, recipe, mesh, layout)


def bare(recipe: LanguageRecipe, mesh: DeviceMesh, layout: Fit) -> Subject:
    """The same dense model as nothing shares it out: what FSDP2's cost on one GPU is told against.

    Its numbers are FSDP2's to the bit: weights lie in float32, are cast to bfloat16 once for each micro-batch, all but
    coefficients, and gradients are cast back and add up in float32. That is what a hand-written loop would do, so what
    FSDP2 takes longer is its copies and hooks, and not mixed precision.
    """
    assert not isinstance(recipe.model, MoEModel)  # whose routers are in float32 too
    assert not layout.recompute
    module = text.module(recipe)
    made = _language_model(module, recipe, mesh, layout)
    if _precision(recipe, mesh) == "bf16":
        module.decoder = InBfloat16(module.decoder)  # after the optimizer, which asks modules what they own
    return made


class InBfloat16(nn.Module):
    """A network of float32 weights that computes with bfloat16 copies of them, but for activations' coefficients."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.cast = [name for name, kind in kinds(network).items() if kind != "coefficients"]

    def forward(self, *inputs: Tensor) -> Any:
        """What the network makes of ``inputs``."""
        weights = {name: self.network.get_parameter(name).to(torch.bfloat16) for name in self.cast}
        return functional_call(self.network, weights, inputs)


def _precision(recipe: Recipe, mesh: DeviceMesh) -> Precision:
    return recipe.precision if mesh.device_type == "cuda" else "fp32"


def _language_model(module: LanguageModel, recipe: LanguageRecipe, mesh: DeviceMesh, layout: Fit) -> Subject:
    device = torch.device(mesh.device_type)
    _fill(module, device, drawn_on(device))
    batch = torch.randint(recipe.model.vocab_size, (layout.micro_batch, recipe.data.context + 1), device=device)
    return _subject(module, lambda: module.training_step(batch)["loss"], recipe.optim.clip)


def _classifier(recipe: ImageRecipe, mesh: DeviceMesh, layout: Fit) -> Subject:
    """Images are in the memory format in which a loader hands them over; products are in bfloat16 by autocast."""
    device, size = torch.device(mesh.device_type), recipe.data.size
    module = pictures.module(recipe, seed=0)
    if recipe.layout.strategy == "fsdp2":
        shard(module.network, mesh, Sharding(ranks=1, reshard=layout.reshard))
    _fill(module, device, distribution(recipe.model))
    images = torch.randint(256, (layout.micro_batch, 3, size, size), device=device, dtype=torch.uint8)
    labels = torch.randint(recipe.model.classes, (layout.micro_batch,), device=device)
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

    state = functools.partial(checkpoints.state_of, module, optimizer)
    return Subject(lambda: loss().backward(), update, optimizer.zero_grad, state)


def _waited_for(norm: Tensor) -> float:
    return (norm.full_tensor() if isinstance(norm, DTensor) else norm).item()
