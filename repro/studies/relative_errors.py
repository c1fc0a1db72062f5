"""How far the fast activations are from the reference in float64, here: a program that prints what it measured."""

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import product

import torch
from torch import Tensor

from repro import kernels
from repro.activations import reference
from repro.kernels.support import INSTALLED

SHAPES = ((17, 264), (5, 8256))  # (rows, columns): the smoke's width and Table 5's
DTYPES = (torch.float32, torch.bfloat16)


def measure(accelerator: str) -> dict[str, dict[str, float]]:
    """The largest error of each implementation that can run on ``cpu`` or ``cuda``, by the dtype of the result.

    An error is the root mean square over the output or over a gradient, relative to that of the exact values. On a CPU
    the kernels need ``TRITON_INTERPRET=1``.
    """
    place = torch.cuda.get_device_name() if accelerator == "cuda" else "the CPU"
    measured = {f"torch on {place}": _largest("torch", accelerator)}
    if not INSTALLED:
        return measured | {"no Triton kernels: Triton is not installed": {}}
    where = f"on {place}" if accelerator == "cuda" else "in the interpreter"
    return measured | {f"Triton kernels {where}": _largest("triton", accelerator)}


def _largest(backend: str, device: str) -> dict[str, float]:
    errors = defaultdict[str, list[Tensor]](list)
    for name, shape, dtype in product(("polynorm", "polyrelu"), SHAPES, DTYPES):
        for kind, error in _errors(name, shape, dtype, backend=backend, device=device):
            errors[kind].append(error)
    return {kind: torch.stack(each).max().item() for kind, each in errors.items()}  # unlike Python's, of NaN it is NaN


def _errors(
    name: str, shape: tuple[int, int], dtype: torch.dtype, *, backend: str, device: str
) -> Iterator[tuple[str, Tensor]]:
    """The errors of the output and of both gradients, each with its dtype: that of coefficients is always float32."""
    generator = torch.Generator().manual_seed(0)
    x, dy = (torch.randn(shape, generator=generator).to(device, dtype) for _ in range(2))
    coeff = torch.randn(4, generator=generator).to(device)
    fast, plain = getattr(kernels, name), getattr(reference, name)
    exact = _with_gradients(plain, x.double(), coeff.double(), dy.double())
    for ours, truth in zip(_with_gradients(fast, x, coeff, dy, backend=backend), exact, strict=True):
        yield str(ours.dtype).removeprefix("torch."), (ours.double() - truth).norm() / truth.norm()


def _with_gradients(
    function: Callable[..., Tensor], x: Tensor, coeff: Tensor, dy: Tensor, **options: str
) -> list[Tensor]:
    inputs = (x.detach().requires_grad_(), coeff.detach().requires_grad_())
    y = function(*inputs, **options)
    return [y.detach(), *torch.autograd.grad(y, inputs, dy)]


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
