"""The inner functions of a composition, by word."""

from collections.abc import Callable

from torch import Tensor, nn

from repro.activations import reference
from repro.activations.pointwise import PReLU
from repro.errors import RecipeError, nearest

Inner = str | Callable[[Tensor], Tensor]


class Norm(nn.Module):
    """``x`` over its root mean square along the last dimension."""

    def forward(self, x: Tensor) -> Tensor:
        """The function at ``x``, ``(..., d_ff)``."""
        return reference.norm(x)


_WORDS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "prelu": PReLU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "norm": Norm,
}


def inner(rho: Inner) -> Callable[[Tensor], Tensor]:
    """What ``rho`` stands for: a new module if it is a word, else itself.

    Raises:
        RecipeError: neither a known word nor something that can be called.
    """
    if isinstance(rho, str) and rho in _WORDS:
        return _WORDS[rho]()
    if not isinstance(rho, str) and callable(rho):
        return rho
    words = ", ".join(_WORDS)
    raise RecipeError(f"rho must be one of {words}, a module or a function, got {rho!r}.{nearest(str(rho), _WORDS)}")
