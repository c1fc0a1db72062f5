"""What the Triton kernels can serve, and the reason and the way out where they cannot."""

import importlib.util
import os

import torch
from torch import Tensor
from torch.autograd import forward_ad

from repro.kernels.tiling import MAX_ORDER, MAX_WIDTH

INSTALLED = importlib.util.find_spec("triton") is not None
CAPABILITY = (8, 0)  # A100: earlier GPUs have no bfloat16, and nobody has tried them
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
    if not x.is_cuda and not (x.device.type == "cpu" and interpreting()):
        return f"x is on {x.device} and Triton needs a GPU (or, on a CPU, its interpreter: TRITON_INTERPRET=1)"
    if x.is_cuda and _older(x.device):
        return f"the GPU has compute capability below {CAPABILITY[0]}.{CAPABILITY[1]}"
    if _transformed():
        return "forward-mode differentiation or a torch.func transform is under way, which the kernels know nothing of"
    if x.dtype not in DTYPES:
        return f"x is {x.dtype} and the kernels take float32, bfloat16 and float16"
    if len(coeff) - 1 > MAX_ORDER:
        return f"the order is {len(coeff) - 1} and the kernels go up to {MAX_ORDER}"
    if width is not None and not 0 < width <= MAX_WIDTH:
        return f"rows have {width:,} columns and the kernels take 1 to {MAX_WIDTH:,}"
    return ""


def _older(device: torch.device) -> bool:
    """Not asked while torch compiles, or without a GPU behind the tensor, as fake ones are that only say they have."""
    if torch.compiler.is_compiling() or not torch.cuda.is_available() or device.type != "cuda":
        return False
    return torch.cuda.get_device_capability(device) < CAPABILITY


def _transformed() -> bool:
    """torch would take a custom operator's missing forward derivative for zero and say nothing."""
    if torch.compiler.is_compiling():
        return False
    return forward_ad._current_level >= 0 or torch._C._are_functorch_transforms_active()


def interpreting() -> bool:
    """Whether kernels are for Triton's interpreter, if the environment was so when they were imported."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in {"1", "true", "yes", "on", "y"}
