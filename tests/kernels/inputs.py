"""Inputs for the kernels, and what the fused ones are held to."""

import os
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import grad

from repro import kernels
from repro.activations import reference
from tests.helpers import assert_sum_within_budget, assert_within_budget

PAIRS = {"polynorm": (kernels.polynorm, reference.polynorm), "polyrelu": (kernels.polyrelu, reference.polyrelu)}
ORDERS = pytest.mark.parametrize("order", range(1, 7))
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)

# Root mean squares whose highest power, squared, is still a float32, and whose scale, cubed, is none.
BIG = pytest.mark.parametrize(("order", "size"), [(3, 3e5), (4, 1e4), (6, 200.0)])


def leaf(*shape, dtype=torch.float32, seed=0, device="cpu"):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(device, dtype).requires_grad_()


def other(*shape, dtype=torch.float32, device="cpu"):
    return leaf(*shape, dtype=dtype, seed=1, device=device).detach()


def interpreting() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"


def fused(name: str, x: Tensor, coeff: Tensor, *eps: float) -> Tensor:
    return PAIRS[name][0](x, coeff, *eps, backend="triton")


def assert_agrees(name: str, x: Tensor, coeff: Tensor, dy: Tensor, *eps: float) -> None:
    """The fused kernel against the reference in float64, forward and both gradients, by the error budget."""
    plain = PAIRS[name][1]
    x64, coeff64, dy64 = (t.detach().double().requires_grad_() for t in (x, coeff, dy))
    y, truth = fused(name, x, coeff, *eps), plain(x64, coeff64, *eps)
    dx, dcoeff = grad(y, (x, coeff), dy)
    truth_dx, truth_dcoeff = grad(truth, (x64, coeff64), dy64)
    eager, eager_dx = _eager(plain, x, coeff, dy, *eps)
    assert_within_budget(y, eager, truth)
    assert_within_budget(dx, eager_dx, truth_dx)
    assert_sum_within_budget(dcoeff, truth_dcoeff, *grad(plain(x64.abs(), coeff64, *eps), coeff64, dy64.abs()))


def _eager(plain: Callable[..., Tensor], x: Tensor, coeff: Tensor, dy: Tensor, *eps: float) -> tuple[Tensor, Tensor]:
    """What the reference gives in the dtype of ``x``, forward and for ``x``, rounded as where the kernel runs.

    Triton's interpreter cuts float32 off to bfloat16 where a GPU rounds: about twice the error, so that the reference
    is cut off there too.
    """
    if not (interpreting() and x.dtype == torch.bfloat16):
        y = plain(x, coeff, *eps)
        return y, *grad(y, x, dy)
    wide = x.detach().float().requires_grad_()
    y = plain(wide, coeff, *eps)
    return _cut_off(y), _cut_off(*grad(y, wide, dy.float()))


def _cut_off(y: Tensor) -> Tensor:
    return y.detach().contiguous().view(torch.int32).bitwise_and(-(1 << 16)).view(torch.float32).bfloat16()
