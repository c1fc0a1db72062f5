"""Ranks of FFN matrices moved by other means than their activation, so that one sees whether the loss follows them."""

import functools
from typing import Any

import lightning
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from repro.analysis.matrices import Weight, weights
from repro.errors import RunError
from repro.training.callbacks import at_step, due
from repro.training.callbacks.metrics import EVERY, log
from repro.training.callbacks.turns import kept
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

    As many tensors of weights as there are ranks are gathered; then each rank computes on one, and sends its whole
    gradient to the others, which keep their shares of it.

    Raises:
        RunError: a matrix is all zeros, whose ratio is undefined.
    """
    found, (rank, ranks) = weights(decoder), _rank()
    share = -weight / sum(len(one.parts) for one in found)
    terms = torch.zeros(len(found), device=next(decoder.parameters()).device)
    for first in range(0, len(found), ranks):
        turn, gradients = found[first : first + ranks], list[Tensor]()
        factors = kept(decoder, [one.factors for one in turn], rank)
        if factors:
            terms[first + rank], gradients = _computed(turn[rank], factors, share)
        for place, one in enumerate(turn):
            _add(decoder, one, gradients if place == rank else None, place)
    if dist.is_initialized():
        dist.all_reduce(terms)
    for number in terms.isnan().nonzero().flatten().tolist():
        _refuse_zeros(decoder, found[number])
    return terms.sum()


def _computed(one: Weight, factors: list[Tensor], share: float) -> tuple[Tensor, list[Tensor]]:
    """A tensor's part of the term, and its gradient in each factor; a matrix at a time."""
    product = functools.reduce(torch.matmul, [factor.requires_grad_() for factor in factors])
    slope, terms = torch.empty_like(product), list[Tensor]()
    for part, into in zip(*(whole.detach().chunk(len(one.parts), dim=-2) for whole in (product, slope)), strict=True):
        stacks = [whole if whole.ndim == 3 else whole[None] for whole in (part, into)]  # of experts, or one matrix
        for matrix, own in zip(*stacks, strict=True):
            terms.append(share / len(stacks[0]) * log_participation_ratio(matrix.requires_grad_()))
            own.copy_(*torch.autograd.grad(terms[-1], matrix))
    return torch.stack(terms).detach().sum(), list(torch.autograd.grad(product, factors, slope))


def log_participation_ratio(matrices: Tensor) -> Tensor:
    """``log((sum s^2)^2 / sum s^4)`` of singular values ``s``, which is ``log(|W|^4 / |W W^T|^2)`` by Frobenius' norm.

    Shape:
        ``(..., rows, columns)`` to ``(...)``.
    """
    rows, columns = matrices.shape[-2:]
    gram = matrices.mT @ matrices if rows > columns else matrices @ matrices.mT
    return 2 * matrices.square().sum((-2, -1)).log() - gram.square().sum((-2, -1)).log()


def _add(decoder: nn.Module, one: Weight, gradients: list[Tensor] | None, sender: int) -> None:
    """To the gradients of a tensor's parameters on all ranks; only ``sender`` has what is added."""
    for number, name in enumerate(one.factors):
        parameter = decoder.get_parameter(name)
        assert parameter.grad is not None  # the backward pass is over
        if gradients is None:
            gradient = torch.empty(parameter.shape, device=parameter.device)
        else:
            gradient = gradients[number].contiguous()
        if dist.is_initialized():
            dist.broadcast(gradient, sender)
        if isinstance(parameter, DTensor):
            gradient = distribute_tensor(gradient, parameter.device_mesh, parameter.placements, src_data_rank=None)
        parameter.grad += gradient


def _refuse_zeros(decoder: nn.Module, one: Weight) -> None:
    """On all ranks, which gather it again; what is not finite is left to the guard."""
    for part, matrices in one.matrices(kept(decoder, [one.factors], 0)).items():
        empty = [number for number, matrix in enumerate(matrices) if not matrix.any()]
        if empty:
            expert = f", expert {empty[0]}" if len(matrices) > 1 else ""
            raise RunError(
                f"optim.rank_penalty: {one.name} has a matrix of zeros ({part}{expert}), whose participation ratio is "
                "undefined; set it to 0, or begin with other weights"
            )


def _rank() -> tuple[int, int]:
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
