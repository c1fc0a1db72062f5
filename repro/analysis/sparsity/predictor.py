"""A small network that says which neurons of an FFN will be active, from what the FFN is given.

Small networks do so in DejaVu (arXiv 2310.17157) and PowerInfer (arXiv 2312.12456). This one, two matrices around a
ReLU, ``d_model`` to ``rank`` to ``d_ff``, its width, its optimiser and the length of its training are ours.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

STEPS, BATCH = 96, 256  # of training: rows of a step, drawn anew
LEARNING_RATE = 0.03  # at 0.01 it takes twice as many steps to be as good, as seen on runs of the smoke scale
APART = 8  # of the rows one, the last ones
RARE = 1e-4  # the smallest share of tokens that a neuron is begun with


@dataclass(frozen=True)
class Predictor:
    """``logits = relu(x first^T) second^T + bias``; who is above the threshold is taken for active.

    Attributes:
        first: ``(rank, d_model)``.
        second: ``(d_ff, rank)``.
        bias: ``(d_ff,)``.
        threshold: of logits, at which it takes as many for active as there are.
    """

    first: Tensor
    second: Tensor
    bias: Tensor
    threshold: float

    def logits(self, x: Tensor) -> Tensor:
        """Of rows ``(rows, d_model)``: ``(rows, d_ff)`` float32."""
        return F.linear(F.relu(F.linear(x.float(), self.first)), self.second, self.bias)

    def active(self, x: Tensor) -> Tensor:
        """Who is taken for active, ``(rows, d_ff)`` bool."""
        return self.logits(x) > self.threshold

    @classmethod
    def trained(cls, x: Tensor, active: Tensor, *, rank: int, seed: int = 0) -> "Predictor":
        """By binary cross-entropy on rows ``(rows, d_model)`` and who was active in them, ``(rows, d_ff)`` bool.

        The last rows, one in :data:`APART`, are set apart for the threshold: of those it learned it is surer.
        """
        generator, learned = torch.Generator().manual_seed(seed), len(x) - len(x) // APART
        weights = _begun(x.float(), active, rank, generator)
        optimizer = torch.optim.Adam(weights, lr=LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 1 / STEPS, STEPS)
        with torch.enable_grad():
            for _ in range(STEPS):
                rows = torch.randint(learned, (min(BATCH, learned),), generator=generator).to(x.device)
                optimizer.zero_grad()
                _loss(cls(*weights, threshold=0).logits(x[rows]), active[rows]).backward()
                optimizer.step()
                schedule.step()
        first, second, bias = (weight.detach() for weight in weights)
        found = cls(first, second, bias, threshold=0)
        apart = slice(learned if learned < len(x) else 0, None)
        return replace(found, threshold=_as_many(found.logits(x[apart]), active[apart]))


def _as_many(logits: Tensor, active: Tensor) -> float:
    """The threshold of logits above which there are as many as are active."""
    wanted = int(active.sum())
    return float(logits.flatten().sort(descending=True).values[wanted]) if wanted < active.numel() else -math.inf


def _loss(logits: Tensor, active: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, active.float(), reduction="sum") / len(active)


def _begun(x: Tensor, active: Tensor, rank: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Weights with which each neuron is active as often as it was, whatever the input."""
    shares = active.float().mean(0).clamp(RARE, 1 - RARE)
    scale = x.square().mean().sqrt().clamp(min=torch.finfo(torch.float32).tiny) * x.shape[1] ** 0.5
    first = torch.randn(rank, x.shape[1], generator=generator).to(x.device) / scale
    second = torch.zeros(active.shape[1], rank, device=x.device)
    return first.requires_grad_(), second.requires_grad_(), shares.logit().requires_grad_()


def recall(scores: Tensor, active: Tensor) -> float | None:
    """Of the active neurons the share that is among as many with the highest scores, ``(rows, d_ff)`` both."""
    wanted = int(active.sum())
    if not wanted:
        return None
    taken = scores.flatten().topk(wanted, sorted=False).indices
    return float(active.flatten()[taken].float().mean())


def auc(scores: Tensor, active: Tensor) -> float | None:
    """How often an active neuron has a higher score than an inactive one, ties counted half; None without either."""
    labels = active.flatten().double()
    positive, negative = float(labels.sum()), float((1 - labels).sum())
    if not positive or not negative:
        return None
    _, group, sizes = scores.flatten().unique(return_inverse=True, return_counts=True)
    below = sizes.cumsum(0) - sizes
    ranks = (below + (sizes - 1) / 2)[group]  # from 0; equal scores share their mean
    return (float((ranks.double() * labels).sum()) - positive * (positive - 1) / 2) / (positive * negative)
