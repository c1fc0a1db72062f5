"""Gated activations, called with ``(gate, up)``, each ``(..., d_ff)``.

The gate and the product are each rounded to the dtype of the input, as in every SwiGLU.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from repro import kernels
from repro.activations import reference
from repro.activations.coefficients import Polynomial
from repro.activations.inner import Inner, inner
from repro.activations.recompute import recomputed


class Gated(nn.Module):
    """A gated linear unit: ``rho(gate) up``. GLU with sigmoid, SwiGLU with silu (Table 4).

    Args:
        rho: relu, prelu, sigmoid, silu, gelu or norm, or a module or function of one tensor.

    Raises:
        RecipeError: no such function.
    """

    def __init__(self, rho: Inner) -> None:
        super().__init__()
        self.rho = inner(rho)

    def forward(self, gate: Tensor, up: Tensor) -> Tensor:
        """The function at ``gate`` and ``up``, each ``(..., d_ff)``."""
        return self.rho(gate) * up


class DReLU(nn.Module):
    """DReLU, arXiv 2406.05955: ``relu(gate) relu(up)``."""

    def forward(self, gate: Tensor, up: Tensor) -> Tensor:
        """The function at ``gate`` and ``up``, each ``(..., d_ff)``."""
        return F.relu(gate) * F.relu(up)


class PowLU(nn.Module):
    """PowLU, arXiv 2605.25704; see :func:`repro.activations.reference.powlu`."""

    def __init__(self, m: float = 3.0) -> None:
        super().__init__()
        self.m = m

    def forward(self, gate: Tensor, up: Tensor) -> Tensor:
        """The function at ``gate`` and ``up``, each ``(..., d_ff)``."""
        return recomputed(reference.powlu, gate, up, self.m)

    def extra_repr(self) -> str:
        """The option, as the constructor takes it."""
        return f"m={self.m}"


class PolyReLUGLU(Polynomial):
    """PolyReLU as a gate (ours): ``PolyReLU(gate) up``."""

    def __init__(self, order: int = 3) -> None:
        super().__init__(order)

    def forward(self, gate: Tensor, up: Tensor) -> Tensor:
        """The function at ``gate`` and ``up``, each ``(..., d_ff)``."""
        return kernels.polyrelu(gate, self.coeff) * up


class PolyNormGLU(Polynomial):
    """PolyNorm as a gate, Motif's; see :func:`repro.activations.reference.polynorm_glu`."""

    def __init__(self, order: int = 3, eps: float = 1e-6) -> None:
        super().__init__(order)
        self.eps = eps

    def forward(self, gate: Tensor, up: Tensor) -> Tensor:
        """The function at ``gate`` and ``up``, each ``(..., d_ff)``."""
        a = self.wide_coeff()
        return kernels.polynorm(gate, torch.cat([a[:1], a[1:].sigmoid()]) / 2, self.eps) * up

    def extra_repr(self) -> str:
        """The options, as the constructor takes them."""
        return f"{super().extra_repr()}, eps={self.eps}"
