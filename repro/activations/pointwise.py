"""Activations of each element on its own that torch.nn does not have."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from repro.activations import reference
from repro.activations.coefficients import Polynomial
from repro.activations.recompute import recomputed


class SquaredReLU(nn.Module):
    """ReLU², Table 4: ``max(x, 0)^2``. Any shape."""

    def forward(self, x: Tensor) -> Tensor:
        """The function at ``x``, of any shape."""
        return F.relu(x).square()


class SquaredLeakyReLU(nn.Module):
    """Squared leaky ReLU: ``leaky_relu(x)^2``; see :func:`repro.activations.reference.leaky_relu2`."""

    def __init__(self, slope: float = 0.5) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """The function at ``x``, of any shape."""
        return recomputed(reference.leaky_relu2, x, self.slope)

    def extra_repr(self) -> str:
        """The slope, as the constructor takes it."""
        return f"slope={self.slope}"


class PReLU(nn.PReLU):
    """torch's, except that its slope may stay in float32 while ``x`` is in bfloat16."""

    def forward(self, x: Tensor) -> Tensor:
        """The function at ``x``, of any shape."""
        if x.dtype == self.weight.dtype:
            return super().forward(x)
        return recomputed(reference.prelu, x, self.weight)


class Poly(Polynomial):
    """The plain polynomial, Table 4: ``sum_i a_i x^i``."""

    def __init__(self, order: int = 3) -> None:
        super().__init__(order)

    def forward(self, x: Tensor) -> Tensor:
        """The function at ``x``, of any shape."""
        return recomputed(reference.poly, x, self.coeff)


class XIELU(nn.Module):
    """xIELU, arXiv 2411.13010, with two learned slopes; see :func:`repro.activations.reference.xielu`."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha_p = nn.Parameter(torch.empty(1))
        self.alpha_n = nn.Parameter(torch.empty(1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Both slopes begin at 0.8, as the paper has it: ``softplus(alpha_p)`` and ``0.5 + softplus(alpha_n)``."""
        with torch.no_grad():
            self.alpha_p.fill_(math.log(math.expm1(0.8)))
            self.alpha_n.fill_(math.log(math.expm1(0.8 - 0.5)))

    def forward(self, x: Tensor) -> Tensor:
        """The function at ``x``, of any shape."""
        return recomputed(reference.xielu, x, self.alpha_p, self.alpha_n)
