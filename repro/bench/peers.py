"""The implementations that are compared, each called with its own parameters and read in one layout.

All get the same coefficients. Ours, the reference and Liger take them in float32; the official code takes them in the
dtype of ``x``, as it was trained.
"""

import functools
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from repro import kernels
from repro.activations import reference
from repro.bench.measurement import Inputs
from repro.bench.timing import Work

OURS = "ours"
FUNCTIONS = ("polynorm", "polyrelu")


@dataclass(frozen=True)
class Layout:
    """How an implementation takes the coefficients, ``(order + 1,)`` and ascending, and gives their gradients back."""

    split: Callable[[Tensor, torch.dtype], Sequence[Tensor]]
    join: Callable[[Sequence[Tensor]], Tensor]


@dataclass(frozen=True)
class Peer:
    """One implementation of a function.

    ``overwrites`` says that its backward pass writes into the incoming gradient, so that it needs one of its own.
    ``compilations`` counts what has been compiled for it so far in this process.
    """

    name: str
    call: Callable[..., Tensor]
    layout: Layout
    overwrites: bool = False
    compilations: Callable[[], int] = lambda: 0


class Bound:
    """An implementation with what it is called with: the one place where one is called."""

    def __init__(self, peer: Peer, given: Inputs) -> None:
        self.peer, self.dy = peer, given.dy
        self.x = given.x.detach().requires_grad_()
        self.leaves = [leaf.clone().requires_grad_() for leaf in peer.layout.split(given.coeff, given.x.dtype)]

    def forward(self) -> Tensor:
        """Y, and what its gradient needs."""
        return self.peer.call(self.x, *self.leaves)

    def backward(self, y: Tensor, dy: Tensor) -> tuple[Tensor, ...]:
        """The gradients of x and of the parameters."""
        return torch.autograd.grad(y, (self.x, *self.leaves), dy)

    def incoming(self) -> Tensor:
        """A gradient of y that may be written to if need be."""
        return self.dy.clone() if self.peer.overwrites else self.dy

    def turns(self) -> dict[str, Callable[[], Work]]:
        """What prepares each direction, and returns what is timed."""

        def backward() -> Work:
            y, dy = self.forward(), self.incoming()
            return lambda: self.backward(y, dy)

        def both() -> Work:
            dy = self.incoming()
            return lambda: self.backward(self.forward(), dy)

        return {"forward": lambda: self.forward, "backward": backward, "both": both}


def peers(function: str, *, dynamic: bool | None = False) -> list[Peer]:
    """The implementations of ``polynorm`` or ``polyrelu`` that there are here, ours first.

    ``dynamic`` is torch.compile's. Without it each shape has code of its own, the fastest that it can be; None, its
    default, is what users have whose number of tokens changes.
    """
    compiled = torch.compile(getattr(reference, function), fullgraph=True, dynamic=dynamic)
    formula = _official_polynorm if function == "polynorm" else _official_polyrelu
    return [
        Peer(OURS, functools.partial(getattr(kernels, function), backend="triton"), ASCENDING, compilations=_ours),
        *(_liger() if function == "polynorm" and not absent() else []),
        Peer("torch.compile", compiled, ASCENDING, compilations=_graphs),
        Peer("official", formula, OFFICIAL),
        Peer("official, recomputed", functools.partial(checkpoint, formula, use_reentrant=False), OFFICIAL),
    ]


@functools.cache
def absent() -> dict[str, str]:
    """The implementations that cannot be had here, and why."""
    try:
        importlib.import_module("liger_kernel.ops.poly_norm")
    except Exception as error:  # what a package can fail with at import has no bounds, and all of it is told
        missing = isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("liger_kernel")
        there = f"its import failed: {first_line(error)}"
        return {"liger": "liger-kernel is not installed (pip install liger-kernel)" if missing else there}
    return {}


def versions() -> dict[str, str]:
    """Of the packages that are compared with."""
    return {"liger-kernel": "absent" if absent() else metadata.version("liger-kernel")}


def first_line(error: BaseException) -> str:
    """What went wrong, in one line."""
    if isinstance(error, torch.OutOfMemoryError):
        return "out of memory"
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


ASCENDING = Layout(lambda coeff, dtype: [coeff], lambda gradients: gradients[0])
OFFICIAL = Layout(
    lambda coeff, dtype: [coeff[1:].flip(0).to(dtype), coeff[:1].to(dtype)],
    lambda gradients: torch.cat([gradients[1], gradients[0].flip(0)]),
)
LIGER = Layout(  # as the official one, with a bias of no dimension
    lambda coeff, dtype: [coeff[1:].flip(0), coeff[0]],
    lambda gradients: torch.cat([gradients[1].reshape(1), gradients[0].flip(0)]),
)


def _official_norm(x: Tensor, eps: float = 1e-6) -> Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)


def _official_polynorm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """PolyNorm as the official dense model computes it: order 3, highest power first, every step in the dtype of x."""
    cube, square = _official_norm(x**3), _official_norm(x**2)
    return weight[0] * cube + weight[1] * square + weight[2] * _official_norm(x) + bias


def _official_polyrelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """PolyReLU, likewise."""
    z = torch.relu(x)
    return weight[0] * z**3 + weight[1] * z**2 + weight[2] * z + bias


def _liger() -> list[Peer]:
    module: Any = importlib.import_module("liger_kernel.ops.poly_norm")

    def call(x: Tensor, weight: Tensor, bias: Tensor, *, in_place: bool) -> Tensor:
        y: Tensor = module.LigerPolyNormFunction.apply(x, weight, bias, 1e-6, in_place)
        return y

    def compilations() -> int:
        return _compiled(module._poly_norm_forward_kernel, module._poly_norm_backward_kernel)

    return [
        Peer("liger in place", functools.partial(call, in_place=True), LIGER, True, compilations),
        Peer("liger", functools.partial(call, in_place=False), LIGER, False, compilations),
    ]


def _ours() -> int:
    from repro.kernels import elementwise, fold, rowwise

    rows = (rowwise.forward, rowwise.forward_wide, rowwise.backward, rowwise.backward_wide)
    return _compiled(*rows, elementwise.forward, elementwise.backward, fold.fold)


def _compiled(*functions: Any) -> int:
    """Variants that Triton's cache in memory holds of kernels."""
    return sum(len(caches[0]) for function in functions for caches in function.device_caches.values())


def _graphs() -> int:
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])
