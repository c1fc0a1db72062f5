"""Cross-entropy of the next token, in chunks, so that the logits of a whole batch never exist at once.

At 4096 tokens and a vocabulary of 50,304 the logits, their float32 copy and their gradient are 2.5 GB; a chunk is
0.13 GB. torch has an operator of this kind from 2.15 on; this one is the same on every torch that the kit supports,
and was twice as fast on a CPU.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORED = -100  # a target that costs nothing: torch's own word for it

_LOGITS_PER_CHUNK = 2**25  # 0.13 GB in float32


def next_token_loss(hidden: Tensor, head: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy and that of each token, in nats.

    Args:
        hidden: ``(batch, seq, d_model)``, the normalised residual stream.
        head: ``(vocab, d_model)``.
        targets: ``(batch, seq)``, token ids; where they are :data:`IGNORED` the loss is 0 and no gradient comes from.

    Returns:
        The mean over all targets, ignored ones too (as OLMo divides), a differentiable float32 scalar, and the losses,
        ``(batch, seq)`` float32 and detached.
    """
    rows, ids = hidden.flatten(0, -2), targets.flatten()
    if torch.is_grad_enabled():
        mean, losses = _ChunkedLoss.apply(rows, head, ids)
    else:
        losses = torch.cat([_losses(h @ head.T, t) for h, t in _chunks(rows, head, ids)])
        mean = losses.mean()
    return mean, losses.view(targets.shape)


def _chunks(hidden: Tensor, head: Tensor, targets: Tensor) -> list[tuple[Tensor, Tensor]]:
    size = max(1, _LOGITS_PER_CHUNK // head.shape[0])
    return list(zip(hidden.split(size), targets.split(size), strict=True))


def _losses(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.float(), targets, reduction="none", ignore_index=IGNORED)


class _ChunkedLoss(torch.autograd.Function):
    """Computes the gradients in the forward pass, while a chunk's logits are there."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        losses, hidden_grads = [], []
        head_grad = torch.zeros_like(head, dtype=torch.float32)  # chunks add up in float32 whatever the weights are
        for h, t in _chunks(hidden, head, targets):
            ignored, t = t == IGNORED, t.clamp(min=0)
            log_p = F.log_softmax((h @ head.T).float(), dim=-1)
            losses.append(-log_p.gather(1, t[:, None])[:, 0].masked_fill_(ignored, 0))
            error = log_p.exp_()
            error[torch.arange(len(t), device=t.device), t] -= 1  # no scatter_add: that is not deterministic on a GPU
            error = error.div_(len(targets)).to(h.dtype)
            hidden_grads.append((error @ head).masked_fill_(ignored[:, None], 0))
            head_grad += error.T @ h.masked_fill(ignored[:, None], 0)  # smaller than the error, whose rows would do too
        ctx.save_for_backward(torch.cat(hidden_grads), head_grad.to(head.dtype))
        each = torch.cat(losses)
        ctx.mark_non_differentiable(each)
        return each.mean(), each

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        hidden_grad, head_grad = ctx.saved_tensors
        return hidden_grad * grads[0], head_grad * grads[0], None  # a float32 scalar leaves them their dtype
