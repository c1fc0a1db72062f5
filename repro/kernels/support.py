"""What the Triton kernels can serve, and the reason and the way out where they cannot."""

import importlib.util
import os

import torch
from torch import Tensor

from repro.kernels.tiling import MAX_ORDER, MAX_WIDTH

INSTALLED = importlib.util.find_spec("triton") is not None
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def obstacle(x: Tensor, coeff: Tensor, *, width: int | None = None) -> str:
    """Why there is no kernel for ``x`` and ``coeff``; nothing where there is one.

    Args:
        x: the input, of any shape.
        coeff: ``(order + 1,)``.
        width: columns of a row, where rows matter.
    """
    if not INSTALLED:
        return "Triton is not installed (pip install triton, on Linux)"
    if not x.is_cuda and not (x.device.type == "cpu" and _interpreting()):
        return f"x is on {x.device} and Triton needs a GPU (or, on a CPU, its interpreter: TRITON_INTERPRET=1)"
    if x.dtype not in DTYPES:
        return f"x is {x.dtype} and the kernels compute in float32"
    if len(coeff) - 1 > MAX_ORDER:
        return f"the order is {len(coeff) - 1} and the kernels go up to {MAX_ORDER}"
    if width is not None and not 0 < width <= MAX_WIDTH:
        return f"rows have {width:,} columns and the kernels take 1 to {MAX_WIDTH:,}"
    return ""


def _interpreting() -> bool:
    return os.environ.get("TRITON_INTERPRET", "0").lower() in {"1", "true", "yes", "on", "y"}
