"""How large gradients are, and how far a step moves the weights, layer by layer."""

import math
from typing import Any

import lightning
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Replicate
from torch.optim import Optimizer

from repro.models.parameters import kinds
from repro.training.callbacks import at_step
from repro.training.callbacks.metrics import log

Group = tuple[str, str]  # a layer and a kind of parameter


class Gradients(lightning.Callback):
    """Logs norms of gradients and of updates every so many steps and at the end, by layer and kind of parameter.

    As ``gradient/<layer>/<kind>``, the norm of the step's gradient before it is clipped, and ``update/<layer>/<kind>``,
    the norm of what the step added to the weights over the norm of the weights before it; of weights that are all 0
    there is none. Kinds are matrices, embeddings, norms and coefficients, so that the few numbers an activation learns
    are apart. A step that the guard skipped has a gradient and moves nothing; one that is not finite is logged as what
    it is, inf or nan.

    In these steps each rank keeps a copy of its own share of the weights from before the optimizer's step to after it,
    when what the backward pass held is gone.

    Args:
        every: steps.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.due = False
        self.groups: dict[Group, list[nn.Parameter]] = {}
        self.squares: dict[str, Tensor] = {}
        self.before: dict[Group, list[Tensor]] = {}

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note which parameters belong together; those of an average are left out."""
        kind, self.groups = kinds(pl_module), {}
        for name, parameter in pl_module.named_parameters():
            if parameter.requires_grad:
                self.groups.setdefault((layer_of(name.partition(".")[2]), kind[name]), []).append(parameter)

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note whether this micro-batch completes a step that is logged."""
        step = trainer.global_step + 1
        self.due = at_step(trainer, batch_idx) and (step % self.every == 0 or step == trainer.max_steps)

    def on_after_backward(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Measure the gradient, which by now is that of all ranks."""
        if self.due:
            self.squares["gradient"] = self._squares(
                {group: [p.grad for p in own if p.grad is not None] for group, own in self.groups.items()}
            )

    def on_before_optimizer_step(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, optimizer: Optimizer
    ) -> None:
        """Keep the weights."""
        if self.due:
            self.before = {group: [p.detach().clone() for p in own] for group, own in self.groups.items()}
            self.squares["weight"] = self._squares(self.before)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure the update, and log."""
        if not self.due:
            return
        for group, own in self.groups.items():
            for before, parameter in zip(self.before[group], own, strict=True):
                _local(before).sub_(_local(parameter.detach()))
        self.squares["update"] = self._squares(self.before)
        self.before, self.due = {}, False
        log(trainer, self._row())

    def _squares(self, tensors: dict[Group, list[Any]]) -> Tensor:
        """Sums of squares of this rank's shares, a number a group, float64."""
        return torch.stack([_square(own, next(iter(self.groups[group]))) for group, own in tensors.items()])

    def _row(self) -> dict[str, float]:
        """Of all ranks, which are asked once."""
        squares = torch.stack([self.squares[what] for what in ("gradient", "update", "weight")])
        if dist.is_initialized():
            dist.all_reduce(squares)
        row: dict[str, float] = {}
        for (layer, kind), (gradient, update, weight) in zip(self.groups, squares.sqrt().T.tolist(), strict=True):
            row[f"gradient/{layer}/{kind}"] = gradient
            row |= {f"update/{layer}/{kind}": update / weight} if weight and math.isfinite(weight) else {}
        return row


def layer_of(name: str) -> str:
    """Of a parameter, by its name in the network: ``layers.3`` or, of a ResNet, ``layer2.0``; else the module's."""
    first, second = name.split(".")[:2]
    return f"{first}.{second}" if second.isdigit() else first


def _square(tensors: list[Tensor], like: Tensor) -> Tensor:
    """In float64, where no square of a float32 overflows, without copies; of one copy, where there are several."""
    total = torch.zeros((), dtype=torch.float64, device=_local(like).device)
    for tensor in tensors:
        own = torch.linalg.vector_norm(_local(tensor), dtype=torch.float64).square()
        total += own / _copies(tensor)
    return total


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _copies(tensor: Tensor) -> int:
    """How many ranks hold the same numbers of a tensor."""
    if not isinstance(tensor, DTensor):
        return dist.get_world_size() if dist.is_initialized() else 1
    mesh = tensor.device_mesh
    return math.prod(mesh.size(at) for at, how in enumerate(tensor.placements) if isinstance(how, Replicate))
