"""``repro::polynorm`` and ``repro::polyrelu`` as torch knows them: shapes without values, and gradients.

Registered as opaque operators: ``torch.compile`` and ``torch.export`` keep each as one node, for any number of tokens,
and the same code runs on a GPU and in Triton's interpreter. Triton itself is imported by the first call. What may be
asked of them is checked where they are chosen, in :mod:`repro.kernels`.
"""

from typing import Any, NoReturn

import torch
from torch import Tensor

from repro.errors import KernelError


@torch.library.custom_op("repro::polynorm", mutates_args=())
def polynorm(x: Tensor, coeff: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """PolyNorm, Eq. 3, of ``(..., d_ff)``, and the scales of its rows, ``(rows, order)``, for the backward pass."""
    from repro.kernels import launch

    return launch.polynorm(x, coeff, eps)


@torch.library.custom_op("repro::polynorm_backward", mutates_args=())
def polynorm_backward(dy: Tensor, x: Tensor, coeff: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of :func:`polynorm` for ``x`` and ``coeff``; never written over ``dy``, which others may hold."""
    from repro.kernels import launch

    return launch.polynorm_backward(dy, x, coeff, scales)


@torch.library.custom_op("repro::polyrelu", mutates_args=())
def polyrelu(x: Tensor, coeff: Tensor) -> Tensor:
    """PolyReLU, Eq. 2, of any shape; the layout in memory stays, as a channels-last network wants it."""
    from repro.kernels import launch

    return launch.polyrelu(x, coeff)


@torch.library.custom_op("repro::polyrelu_backward", mutates_args=())
def polyrelu_backward(dy: Tensor, x: Tensor, coeff: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of :func:`polyrelu` for ``x`` and ``coeff``."""
    from repro.kernels import launch

    return launch.polyrelu_backward(dy, x, coeff)


def _like(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, memory_format=torch.contiguous_format)


@polynorm.register_fake
def _(x: Tensor, coeff: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    rows = x.numel() // x.shape[-1]
    return _like(x), x.new_empty((rows, len(coeff) - 1), dtype=torch.float32)


@polynorm_backward.register_fake
def _(dy: Tensor, x: Tensor, coeff: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    return _like(x), _like(coeff)


@polyrelu.register_fake
def _(x: Tensor, coeff: Tensor) -> Tensor:
    return torch.empty_like(x)


@polyrelu_backward.register_fake
def _(dy: Tensor, x: Tensor, coeff: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), _like(coeff)


def _keep_polynorm(ctx: Any, inputs: tuple[Tensor, Tensor, float], output: tuple[Tensor, Tensor]) -> None:
    x, coeff, _ = inputs
    scales = output[1]
    ctx.mark_non_differentiable(scales)
    ctx.set_materialize_grads(False)  # or each backward pass would fill a gradient of the scales with zeros
    ctx.save_for_backward(x, coeff, scales)


def _differentiate_polynorm(ctx: Any, dy: Tensor, _: None) -> tuple[Tensor, Tensor, None]:
    dx, dcoeff = polynorm_backward(dy, *ctx.saved_tensors)
    return dx, dcoeff, None


def _keep_polyrelu(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _differentiate_polyrelu(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor]:
    gradients: tuple[Tensor, Tensor] = polyrelu_backward(dy, *ctx.saved_tensors)
    return gradients


def _no_second_derivative(ctx: Any, *_: Tensor) -> NoReturn:
    raise KernelError("the fused kernels have no second derivative: call polynorm or polyrelu with backend='torch'")


polynorm.register_autograd(_differentiate_polynorm, setup_context=_keep_polynorm)
polyrelu.register_autograd(_differentiate_polyrelu, setup_context=_keep_polyrelu)
polynorm_backward.register_autograd(_no_second_derivative)
polyrelu_backward.register_autograd(_no_second_derivative)
