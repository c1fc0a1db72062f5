"""PolyNorm and PolyReLU in plain PyTorch operations, keeping nothing for the backward pass but the input.

With s_i = 1 / sqrt(mean(x^(2i)) + eps) a number a row, both are polynomials evaluated by Horner's rule:

    PolyNorm    y = a_0 + x (a_1 s_1 + x (a_2 s_2 + ...))
    PolyReLU    y = a_0 + z (a_1 + z (a_2 + ...)),  z = max(x, 0)

and, with the moments m_i = sum of dy x^i over a row of width d, their gradients are

    PolyNorm    dx = dy p(x) - x q(x^2),  p_i = i a_i s_i,  q_i = p_i s_i^2 m_i / d,  da_i = sum of s_i m_i over rows
    PolyReLU    dx = dy p(z) where x > 0,  p_i = i a_i,  da_i = sum of dy z^i over everything

A second derivative differentiates these backward passes: while autograd records them, nothing is written over.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor


def polynorm(x: Tensor, coeff: Tensor, eps: float) -> Tensor:
    """PolyNorm, Eq. 3; see :func:`repro.kernels.polynorm`."""
    y: Tensor = _PolyNorm.apply(x, coeff, eps)
    return y


def polyrelu(x: Tensor, coeff: Tensor) -> Tensor:
    """PolyReLU, Eq. 2; see :func:`repro.kernels.polyrelu`."""
    y: Tensor = _PolyReLU.apply(x, coeff)
    return y


class _PolyNorm(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, coeff: Tensor, eps: float) -> Tensor:
        wide, a = _widen(x, x), _widen(coeff, x)
        scales = _row_scales(wide * wide, len(a) - 1, eps)
        return _horner(wide, [a[0], *(_along(a[1:], scales) * scales)]).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, float], output: Tensor) -> None:
        x, coeff, ctx.eps = inputs
        ctx.save_for_backward(x, coeff)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, coeff = ctx.saved_tensors
        wide, a, g = _widen(x, x), _widen(coeff, x), _widen(dy, x)
        order, square = len(a) - 1, wide * wide
        scales = _row_scales(square, order, ctx.eps)
        moments = torch.stack([m.sum(-1, keepdim=True) for m in _products(g, wide, order)])
        dx = dcoeff = None
        if ctx.needs_input_grad[0]:
            p = _along(_slopes(a), scales) * scales
            # A scale and its moment first: the cube of a scale underflows long before the forward pass overflows.
            q = _horner(square, [*(p * scales * (scales * moments[1:] / _width(x)))])
            dx = _horner(wide, [*p])
            dx = torch.mul(dx, g, out=_over(dx))
            dx = torch.addcmul(dx, wide, q, value=-1, out=_over(dx)).to(x.dtype)
        if ctx.needs_input_grad[1]:
            dcoeff = torch.cat([moments[:1], scales * moments[1:]]).flatten(1).sum(1).to(coeff.dtype)
        return dx, dcoeff, None


class _PolyReLU(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, coeff: Tensor) -> Tensor:
        return _horner(_widen(x, x).relu(), [*_widen(coeff, x)]).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, coeff = ctx.saved_tensors
        z, a, g = _widen(x, x).relu(), _widen(coeff, x), _widen(dy, x)
        dx = dcoeff = None
        if ctx.needs_input_grad[0]:
            dx = _horner(z, [*_slopes(a)])
            dx = torch.mul(dx, g, out=_over(dx))
            dx = torch.ops.aten.threshold_backward(dx, z, 0).to(x.dtype)  # as ReLU's own: nothing where z = 0
        if ctx.needs_input_grad[1]:
            dcoeff = torch.stack([m.sum() for m in _products(g, z, len(a) - 1)]).to(coeff.dtype)
        return dx, dcoeff


def _widen(tensor: Tensor, x: Tensor) -> Tensor:
    """``tensor`` in the precision that input ``x`` is computed in: float64 for float64, else float32."""
    return tensor.to(torch.promote_types(x.dtype, torch.float32))


def _over(y: Tensor) -> Tensor | None:
    """Where to write an operation's result: over its operand, unless autograd records and will need that, or vmap."""
    return None if torch.is_grad_enabled() or torch._C._are_functorch_transforms_active() else y


def _width(x: Tensor) -> int:
    return max(x.shape[-1], 1)  # a row without elements has moments of zero, whatever they are divided by


def _row_scales(square: Tensor, order: int, eps: float) -> Tensor:
    """``1 / sqrt(mean(x^(2i)) + eps)`` for i = 1 ... order, ``(order, ..., 1)``, of ``square`` = x^2."""
    sums = [power.sum(-1, keepdim=True) for power in _products(square, square, order - 1)]
    return torch.rsqrt(torch.stack(sums) / _width(square) + eps)


def _products(first: Tensor, factor: Tensor, count: int) -> Iterator[Tensor]:
    """``first``, then ``first factor`` up to ``first factor^count``, each valid until the next is asked for."""
    product = first
    yield product
    for i in range(count):
        product = torch.mul(product, factor, out=_over(product) if i else None)
        yield product


def _slopes(a: Tensor) -> Tensor:
    """The coefficients of the derivative, ``i a_i``."""
    return a[1:] * torch.arange(1, len(a), dtype=a.dtype, device=a.device)


def _along(a: Tensor, scales: Tensor) -> Tensor:
    """``a`` of shape ``(order,)`` with as many dimensions as ``scales``, ``(order, ..., 1)``."""
    return a.view(-1, *[1] * (scales.ndim - 1))


def _horner(x: Tensor, coeff: Sequence[Tensor]) -> Tensor:
    """``c_0 + x (c_1 + x (c_2 + ...))`` as a new tensor, each coefficient a number or one a row."""
    if len(coeff) == 1:
        return coeff[0].expand_as(x).clone()
    y = (x * coeff[-1]).add_(coeff[-2])  # addcmul with two operands that broadcast is three times as slow on a CPU
    for c in reversed(coeff[:-2]):
        y = torch.addcmul(c, x, y, out=_over(y))
    return y
