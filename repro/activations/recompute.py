"""A function that keeps nothing for the backward pass but its inputs."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils.checkpoint import checkpoint


def recomputed(function: Callable[..., Tensor], *args: Any) -> Tensor:
    """``function(*args)``, computed again in the backward pass instead of keeping what lies between.

    The official code does the same around PolyReLU and PolyNorm.
    """
    y: Tensor = checkpoint(function, *args, use_reentrant=False)
    return y
