"""What an activation gives at 0, which is a bias of the layer and no work of a neuron."""

from collections.abc import Callable

import torch
from torch import Tensor


@torch.no_grad()
def constant(activation: Callable[..., Tensor], like: Tensor, *, gated: bool) -> Tensor:
    """What an activation gives at rows of zeros, ``(rows, 1)``: PolyCom's ``a_0``, a sigmoid's 1/2, 0 of most.

    Args:
        activation: of one or two tensors; of a module its ``forward``, which runs no hooks.
        like: ``(rows, d_ff)``, of which it takes shape, dtype and device: Eq. 3 divides ``a_0`` by ``sqrt(d_ff)``.
        gated: whether it takes a gate, which is 0, and what that lets through, which is 1.
    """
    zeros = torch.zeros_like(like)
    y = activation(zeros, torch.ones_like(zeros)) if gated else activation(zeros)
    return y[:, :1]


def without_part(hidden: Tensor, part: Tensor) -> Tensor:
    """``hidden`` less its constant part, float32; exactly 0 where rounding to the dtype of ``hidden`` is all there is.

    Args:
        hidden: what the activation gave, ``(rows, d_ff)``.
        part: :func:`constant`, times what is let through if gated; it broadcasts to ``hidden``.
    """
    part = part.float()
    rest = hidden.float() - part
    return rest.where(rest.abs() > torch.finfo(hidden.dtype).eps * part.abs(), 0.0)
