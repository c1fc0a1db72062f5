"""Ranks of FFN matrices moved by other means than their activation, so that one sees whether the loss follows them."""

import functools
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from repro.analysis.matrices import weights
from repro.training.callbacks import at_step, due
from repro.training.callbacks.metrics import EVERY, log
from repro.training.language_model import LanguageModel


class RankPenalty(lightning.Callback):
    """Adds ``-weight x mean over FFN matrices of log(participation ratio)`` to what a step is trained on. Ours.

    Above 0 it raises ranks, below it lowers them; each expert's matrices count as others do. The participation ratio
    takes one product a matrix and no singular values, whose vectors have no derivative where two values are equal. It
    goes by the large ones more than the effective rank does (Eq. 36), which the analysis of the run shows beside it.

    Its gradient is added to that of the step when this is whole, before it is clipped: so it counts once however the
    batch is made, and is of the weights in float32 rather than of what they are rounded to where a block computes. The
    loss that is logged stays the cross-entropy; what is added to it is logged with every row, as ``rank_penalty``.

    Args:
        weight: of the recipe.
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.whole = False  # whether the backward pass that goes on is the step's last
        self.added: Tensor | None = None

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """See which part of its step this is."""
        self.whole = at_step(trainer, batch_idx)

    def on_after_backward(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Add the gradient, after a step's last micro-batch."""
        assert isinstance(pl_module, LanguageModel)
        if self.whole:
            self.added = add(pl_module.decoder, self.weight)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log what was added, where a row is due."""
        if due(trainer, batch_idx, EVERY):
            assert self.added is not None
            log(trainer, {"rank_penalty": self.added.item()})


def add(decoder: nn.Module, weight: float) -> Tensor:
    """Add the term's gradient to those that the weights have, and return the term.

    One tensor of weights after the other is gathered whole; every rank computes all of it and keeps its share.
    """
    found, own = weights(decoder), list[Tensor]()
    share = weight / sum(len(one.parts) for one in found)
    for one in found:
        parameters = [decoder.get_parameter(name) for name in one.factors]
        factors = [_whole(parameter).requires_grad_() for parameter in parameters]
        parts = functools.reduce(torch.matmul, factors).chunk(len(one.parts), dim=-2)
        own.append(-share * torch.stack([log_participation_ratio(part).mean() for part in parts]).sum())
        for parameter, gradient in zip(parameters, torch.autograd.grad(own[-1], factors), strict=True):
            _add(gradient, parameter)
    return torch.stack(own).detach().sum()


def log_participation_ratio(matrices: Tensor) -> Tensor:
    """``log((sum s^2)^2 / sum s^4)`` of singular values ``s``, which is ``log(|W|^4 / |W W^T|^2)`` by Frobenius' norm.

    Shape:
        ``(..., rows, columns)`` to ``(...)``.
    """
    rows, columns = matrices.shape[-2:]
    gram = matrices.mT @ matrices if rows > columns else matrices @ matrices.mT
    return 2 * matrices.square().sum((-2, -1)).log() - gram.square().sum((-2, -1)).log()


def _whole(parameter: nn.Parameter) -> Tensor:
    return (parameter.full_tensor() if isinstance(parameter, DTensor) else parameter).detach()


def _add(gradient: Tensor, parameter: nn.Parameter) -> None:
    assert parameter.grad is not None  # the backward pass is over
    if isinstance(parameter, DTensor):
        gradient = distribute_tensor(gradient, parameter.device_mesh, parameter.placements, src_data_rank=None)
    parameter.grad += gradient
