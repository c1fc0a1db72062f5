"""A mixture of experts as OLMoE's: dropless, top-k of a softmax, every expert an FFN of Eq. 4 of its own.

Tokens are sorted by expert and multiplied with stacked weights, one grouped product a matrix. Nothing waits for the
device and nothing is added up by atomics: the same bits again on every run.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.activations import PolyNorm, PolyReLU, reference
from repro.activations.recompute import recomputed


class Routing(NamedTuple):
    """What the router of one layer did with a batch of ``T`` tokens, in float32.

    Attributes:
        counts: ``(experts,)``, tokens sent to each expert; they add up to ``T top_k``.
        probability: ``(experts,)``, mean over tokens of the router's probabilities.
        z: mean over tokens of the squared log-sum-exp of the router's logits.
        entropy: mean over tokens of the entropy of the router's probabilities, in nats; detached.
    """

    counts: Tensor
    probability: Tensor
    z: Tensor
    entropy: Tensor


class PerExpert(nn.Module):
    """PolyNorm or PolyReLU with coefficients for each expert: ``coeff`` is ``(experts, order + 1)``. Ours.

    Args:
        activation: whose order, normalisation and initial coefficients each expert has.
        experts: how many.
    """

    def __init__(self, activation: PolyNorm | PolyReLU, experts: int) -> None:
        super().__init__()
        self.function = _function(activation)
        self.coeff = nn.Parameter(torch.empty(experts, activation.order + 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Each as the activation alone begins: ``a_0 = 0`` and ``a_i = 1 / order``."""
        order = self.coeff.shape[1] - 1
        with torch.no_grad():
            self.coeff.fill_(1 / order)
            self.coeff[:, 0] = 0

    def forward(self, x: Tensor, ends: Tensor) -> Tensor:
        """Rows ``(n, d_ff)`` sorted by expert, each with its expert's coefficients."""
        expert = torch.searchsorted(ends, torch.arange(len(x), device=x.device), right=True)
        coeff = self.coeff[expert].T[..., None]  # (order + 1, n, 1): in the reference, a number a row for each power
        return recomputed(self.function, x, coeff)


def _function(activation: PolyNorm | PolyReLU) -> Callable[[Tensor, Tensor], Tensor]:
    if isinstance(activation, PolyReLU):
        return reference.polyrelu
    return partial(reference.polynorm, eps=activation.eps, norm=activation.norm)


class Experts(nn.Module):
    """Stacked FFNs without biases: weights ``(experts, out, in)``, as Hugging Face's OLMoE holds them.

    Args:
        experts: how many.
        d_model: width of the residual stream.
        d_ff: width of one expert.
        activation: called with the rows of all experts, or a :class:`PerExpert`.
        gated: whether it takes a gate and what it lets through; their matrices are one, the gate's half first.
    """

    def __init__(self, experts: int, d_model: int, d_ff: int, activation: nn.Module, *, gated: bool) -> None:
        super().__init__()
        name = "gate_up_proj" if gated else "up_proj"
        self.gated = gated
        self.register_parameter(name, nn.Parameter(torch.empty(experts, 2 * d_ff if gated else d_ff, d_model)))
        self.act_fn = activation
        self.down_proj = nn.Parameter(torch.empty(experts, d_model, d_ff))

    def forward(self, x: Tensor, ends: Tensor) -> Tensor:
        """Rows ``(n, d_model)`` sorted by expert through their experts; those of each end at ``ends``, int32."""
        first: Any = self.gate_up_proj if self.gated else self.up_proj
        h = _grouped(x, first, ends)
        if isinstance(self.act_fn, PerExpert):
            h = self.act_fn(h, ends)
        else:
            h = self.act_fn(*h.chunk(2, dim=-1)) if self.gated else self.act_fn(h)
        return _grouped(h, self.down_proj, ends)


class MoE(nn.Module):
    """``sum over the top_k experts of a token: probability x expert(token)``, not renormalised (Table 6, OLMoE).

    Shape:
        ``(batch, seq, d_model)`` to the same, and what the router did.
    """

    def __init__(
        self, experts: int, top_k: int, d_model: int, d_ff: int, activation: nn.Module, *, gated: bool
    ) -> None:
        super().__init__()
        self.top_k = top_k
        self.gate = nn.Linear(d_model, experts, bias=False)
        self.experts = Experts(experts, d_model, d_ff, activation, gated=gated)

    def forward(self, x: Tensor) -> tuple[Tensor, Routing]:
        """The experts' weighted sum, and the routing that led to it."""
        rows = x.flatten(0, -2)
        logits = self.gate(rows.to(self.gate.weight.dtype)).float()
        probabilities = logits.softmax(-1)
        weights, chosen = probabilities.topk(self.top_k, dim=-1)
        expert, order = chosen.flatten().sort(stable=True)
        inverse = order.argsort()
        ends = torch.searchsorted(expert, torch.arange(logits.shape[-1], device=x.device), right=True, out_int32=True)
        y = _Collect.apply(self.experts(_Dispatch.apply(rows, order, inverse, self.top_k), ends), order, inverse)
        mixed = (y.unflatten(0, (-1, self.top_k)) * weights[..., None]).sum(1).to(x.dtype)
        return mixed.view_as(x), _routing(logits, probabilities, ends)


def _routing(logits: Tensor, probabilities: Tensor, ends: Tensor) -> Routing:
    log_p = logits.detach().log_softmax(-1)
    return Routing(
        counts=ends.diff(prepend=ends.new_zeros(1)).float(),
        probability=probabilities.mean(0),
        z=logits.logsumexp(-1).square().mean(),
        entropy=-(log_p.exp() * log_p).sum(-1).mean(),
    )


def _grouped(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    return F.grouped_mm(x, weight.transpose(-2, -1), offs=ends)


class _Dispatch(torch.autograd.Function):
    """``rows[order // top_k]``: each token once for each of its experts. torch's own backward would use atomics."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, order: Tensor, inverse: Tensor, top_k: int) -> Tensor:
        ctx.save_for_backward(inverse)
        ctx.top_k = top_k
        return rows[order // top_k]

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None, None, None]:
        (inverse,) = ctx.saved_tensors
        return dy[inverse].unflatten(0, (-1, ctx.top_k)).sum(1), None, None, None


class _Collect(torch.autograd.Function):
    """``y[inverse]``: back into the order of tokens. A permutation, whose backward is the other one."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        return y[inverse]

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None, None]:
        (order,) = ctx.saved_tensors
        return dy[order], None, None
