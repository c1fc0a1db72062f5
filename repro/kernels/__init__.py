"""The fast forms of the paper's activations: one function each, and the one place that says what serves a call.

They agree with :mod:`repro.activations.reference`, which defines what is right, forward and gradients.
"""

import warnings
from typing import Literal, get_args

import torch
from torch import Tensor

from repro.errors import KernelError, nearest
from repro.kernels import eager, operators
from repro.kernels.support import obstacle

__all__ = ["Backend", "polynorm", "polyrelu"]

Backend = Literal["auto", "torch", "triton"]
_BACKENDS: tuple[str, ...] = get_args(Backend)
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def polynorm(x: Tensor, coeff: Tensor, eps: float = 1e-6, *, backend: Backend = "auto") -> Tensor:
    """PolyNorm, Eq. 3 as the official code computes it: ``a_0 + sum_i a_i x^i / sqrt(mean(x^(2i)) + eps)``.

    Args:
        x: ``(..., d_ff)``, of any floating dtype. Computed in float32, float64 in float64, and rounded once.
        coeff: ``(order + 1,)``, ascending; its dtype may differ from that of ``x``.
        eps: added to the mean squares, so that a row of zeros gives ``coeff[0]``.
        backend: ``triton``, the fused kernel; ``torch``; or ``auto``, the kernel on a GPU and torch elsewhere.

    Returns:
        ``(..., d_ff)``, in the dtype of ``x``. The backward pass keeps ``x`` and ``coeff``, and the kernel ``order``
        float32 numbers a row. Only ``torch`` has second derivatives.

    Raises:
        KernelError: the backend cannot serve, or ``x`` and ``coeff`` do not fit.
    """
    _check("polynorm", x, coeff, backend)
    if x.ndim == 0:
        raise KernelError("polynorm: expected x of shape (..., d_ff) to normalise over its last dimension, got ()")
    if _fused("polynorm", x, coeff, backend, width=x.shape[-1]):
        y: Tensor = operators.polynorm(x, coeff, eps)[0]
        return y
    return eager.polynorm(x, coeff, eps)


def polyrelu(x: Tensor, coeff: Tensor, *, backend: Backend = "auto") -> Tensor:
    """PolyReLU, Eq. 2: ``sum_i a_i max(x, 0)^i``.

    Args:
        x: of any shape and floating dtype. Computed in float32, float64 in float64, and rounded once.
        coeff: ``(order + 1,)``, ascending; its dtype may differ from that of ``x``.
        backend: ``triton``, the fused kernel; ``torch``; or ``auto``, the kernel on a GPU and torch elsewhere.

    Returns:
        Shape and dtype of ``x``. The backward pass keeps ``x`` and ``coeff``, nothing else. Only ``torch`` has second
        derivatives.

    Raises:
        KernelError: the backend cannot serve, or ``x`` and ``coeff`` do not fit.
    """
    _check("polyrelu", x, coeff, backend)
    if _fused("polyrelu", x, coeff, backend):
        y: Tensor = operators.polyrelu(x, coeff)
        return y
    return eager.polyrelu(x, coeff)


_told: set[tuple[str, str]] = set()  # which function fell back and why, told once in a process


def _fused(name: str, x: Tensor, coeff: Tensor, backend: str, *, width: int | None = None) -> bool:
    if backend == "torch" or (backend == "auto" and not x.is_cuda):
        return False
    reason = obstacle(x, coeff, width=width)
    if reason and backend == "triton":
        raise KernelError(f"{name}: backend='triton' cannot serve: {reason}; use 'auto' or 'torch'")
    if reason and not torch.compiler.is_compiling() and (name, reason) not in _told:
        _told.add((name, reason))
        warnings.warn(f"{name}: no fused kernel, torch instead: {reason}", stacklevel=3)
    return not reason


def _check(name: str, x: Tensor, coeff: Tensor, backend: str) -> None:
    if backend not in _BACKENDS:
        raise KernelError(
            f"{name}: backend={backend!r} is not one of {', '.join(_BACKENDS)}.{nearest(backend, _BACKENDS)}"
        )
    if x.dtype not in _DTYPES:
        raise KernelError(f"{name}: expected x in float16, bfloat16, float32 or float64, got {x.dtype}")
    if coeff.ndim != 1 or len(coeff) < 2 or not coeff.is_floating_point():
        got = f"{tuple(coeff.shape)} of {coeff.dtype}"
        raise KernelError(f"{name}: expected coeff of shape (order + 1,), order at least 1, floating; got {got}")
    if x.device != coeff.device:
        raise KernelError(f"{name}: x is on {x.device} and coeff on {coeff.device}; both must be on one device")
