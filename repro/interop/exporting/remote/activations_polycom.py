"""The activations of polycom-repro in plain torch: computed in float32 or wider inside, and rounded once.

Polynomials have ``coeff``, ascending: ``coeff[i]`` multiplies the i-th power (PolyCom, arXiv 2411.03884). A gated
activation is called with ``(gate, up)``. Exported by polycom-repro. Apache-2.0.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def build(name: str, options: dict[str, Any]) -> nn.Module:
    """The activation that a configuration names: one of this file, or of torch.nn."""
    kind = next((kind for kind in ACTIVATIONS if kind.__name__ == name), None) or getattr(nn, name)
    module: nn.Module = kind(**options)
    return module


class Polynomial(nn.Module):
    """Owns the coefficients, which begin at ``a_0 = 0`` and ``a_i = 1 / order``."""

    def __init__(self, order: int = 3) -> None:
        super().__init__()
        self.coeff = nn.Parameter(torch.empty(order + 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As the paper begins."""
        with torch.no_grad():
            self.coeff.fill_(1 / (self.coeff.shape[-1] - 1))
            self.coeff[..., 0] = 0


class PolyReLU(Polynomial):
    """Eq. 2: ``sum_i a_i max(x, 0)^i``."""

    def forward(self, x: Tensor) -> Tensor:
        """The function at ``x``, of any shape."""
        return _polyrelu(x, self.coeff)


class PolyNorm(Polynomial):
    """Eq. 3: ``a_0 + sum_i a_i x^i / rms(x^i)``; with ``norm="l2"`` the lengths instead, as the equation has it."""

    def __init__(self, order: int = 3, eps: float = 1e-6, norm: str = "rms") -> None:
        super().__init__(order)
        self.eps, self.norm = eps, norm

    def forward(self, x: Tensor) -> Tensor:
        """The function at ``x``, ``(..., d_ff)``."""
        if self.norm == "rms":
            return _polynorm(x, self.coeff, self.eps)
        return _polynorm(x, _wide(self.coeff) / math.sqrt(x.shape[-1]), self.eps)


class PolyReLUNorm(Polynomial):
    """PolyNorm of ``max(x, 0)``."""

    def __init__(self, order: int = 3, eps: float = 1e-6) -> None:
        super().__init__(order)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """The function at ``x``, ``(..., d_ff)``."""
        return _polynorm(F.relu(x), self.coeff, self.eps)


class Poly(Polynomial):
    """``sum_i a_i x^i``."""

    def forward(self, x: Tensor) -> Tensor:
        """The function at ``x``, of any shape."""
        wide = _wide(x)
        return _sum([a * wide**i for i, a in enumerate(_like(self.coeff, wide))]).to(x.dtype)


class PReLU(nn.PReLU):
    """torch's, whose slope may be in another precision than ``x``."""

    def forward(self, x: Tensor) -> Tensor:
        """The function at ``x``, of any shape."""
        if x.dtype == self.weight.dtype:
            return super().forward(x)
        wide = _wide(x)
        return torch.where(wide > 0, wide, _like(self.weight, wide) * wide).to(x.dtype)


class PolyPReLU(Polynomial):
    """``sum_i a_i PReLU(x)^i``."""

    def __init__(self, order: int = 3) -> None:
        super().__init__(order)
        self.rho = PReLU()

    def forward(self, x: Tensor) -> Tensor:
        """The function at ``x``, of any shape."""
        wide = _wide(x)
        return _sum([a * self.rho(wide) ** i for i, a in enumerate(_like(self.coeff, wide))]).to(x.dtype)


class SquaredReLU(nn.Module):
    """``max(x, 0)^2``."""

    def forward(self, x: Tensor) -> Tensor:
        """The function at ``x``, of any shape."""
        return F.relu(x).square()


class SquaredLeakyReLU(nn.Module):
    """``leaky_relu(x)^2``."""

    def __init__(self, slope: float = 0.5) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """The function at ``x``, of any shape."""
        wide = _wide(x)
        return (torch.where(wide > 0, wide, self.slope * wide) ** 2).to(x.dtype)


class XIELU(nn.Module):
    """xIELU, arXiv 2411.13010: ``p x^2 + x / 2`` above zero, ``n (e^x - 1 - x) + x / 2`` below."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha_p, self.alpha_n = nn.Parameter(torch.empty(1)), nn.Parameter(torch.empty(1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Both slopes begin at 0.8."""
        nn.init.constant_(self.alpha_p, math.log(math.expm1(0.8)))
        nn.init.constant_(self.alpha_n, math.log(math.expm1(0.8 - 0.5)))

    def forward(self, x: Tensor) -> Tensor:
        """The function at ``x``, of any shape."""
        wide, beta = _wide(x), 0.5
        p, n = (torch.logaddexp(_like(a, wide), torch.zeros(1).to(wide)) for a in (self.alpha_p, self.alpha_n))
        below = (beta + n) * (torch.expm1(wide.clamp(max=-1e-6)) - wide)
        return (torch.where(wide > 0, p * wide * wide, below) + beta * wide).to(x.dtype)


class Gated(nn.Module):
    """``rho(gate) up``: GLU with sigmoid, SwiGLU with silu."""

    def __init__(self, rho: str) -> None:
        super().__init__()
        self.rho = {"sigmoid": nn.Sigmoid, "silu": nn.SiLU, "gelu": nn.GELU, "relu": nn.ReLU}[rho]()

    def forward(self, gate: Tensor, up: Tensor) -> Tensor:
        """The function at ``gate`` and ``up``, each ``(..., d_ff)``."""
        y: Tensor = self.rho(gate) * up
        return y


class DReLU(nn.Module):
    """``relu(gate) relu(up)``."""

    def forward(self, gate: Tensor, up: Tensor) -> Tensor:
        """The function at ``gate`` and ``up``, each ``(..., d_ff)``."""
        return F.relu(gate) * F.relu(up)


class PowLU(nn.Module):
    """PowLU, arXiv 2605.25704: SwiGLU with ``gate^(m / (sqrt(gate) + 1))`` for the gate where that is positive."""

    def __init__(self, m: float = 3.0) -> None:
        super().__init__()
        self.m = m

    def forward(self, gate: Tensor, up: Tensor) -> Tensor:
        """The function at ``gate`` and ``up``, each ``(..., d_ff)``."""
        wide = _wide(gate)
        positive = torch.where(wide > 0, wide, 1)
        power = torch.where(wide > 0, positive ** (self.m / (torch.sqrt(positive) + 1)), wide)
        return (power * torch.sigmoid(wide) * _like(up, wide)).to(gate.dtype)


class PolyReLUGLU(Polynomial):
    """``PolyReLU(gate) up``."""

    def forward(self, gate: Tensor, up: Tensor) -> Tensor:
        """The function at ``gate`` and ``up``, each ``(..., d_ff)``."""
        return _polyrelu(gate, self.coeff) * up


class PolyNormGLU(Polynomial):
    """Motif's (arXiv 2508.09148): ``(a_0 + sum_i sigmoid(a_i) norm(gate^i)) up / 2``."""

    def __init__(self, order: int = 3, eps: float = 1e-6) -> None:
        super().__init__(order)
        self.eps = eps

    def forward(self, gate: Tensor, up: Tensor) -> Tensor:
        """The function at ``gate`` and ``up``, each ``(..., d_ff)``."""
        a = _wide(self.coeff)
        return _polynorm(gate, torch.cat([a[:1], a[1:].sigmoid()]) / 2, self.eps) * up


class PerExpert(Polynomial):
    """PolyNorm or PolyReLU with coefficients for each expert, ``(experts, order + 1)``."""

    def __init__(self, activation: nn.Module, experts: int) -> None:
        assert isinstance(activation, PolyNorm | PolyReLU)
        super().__init__(len(activation.coeff) - 1)
        self.coeff = nn.Parameter(torch.empty(experts, len(activation.coeff)))
        self.reset_parameters()
        self.eps = getattr(activation, "eps", None)
        self.length = activation.norm == "l2" if isinstance(activation, PolyNorm) else False

    def forward(self, x: Tensor, ends: Tensor) -> Tensor:
        """Rows ``(n, d_ff)`` sorted by expert, those of each ending at ``ends``."""
        expert = torch.searchsorted(ends, torch.arange(len(x), device=x.device), right=True)
        wide, d = _wide(x), x.shape[-1]
        first, *rest = _like(self.coeff[expert].T[..., None], wide)  # (n, 1) each
        if self.eps is None:
            z = torch.where(wide <= 0, 0, wide)
            return _sum([first * z**0, *(a * z**i for i, a in enumerate(rest, start=1))]).to(x.dtype)
        terms = [first / math.sqrt(d) if self.length else first]
        for i, a in enumerate(rest, start=1):
            squares = (wide**i).square().sum(-1, keepdim=True)
            over = torch.sqrt(squares + d * self.eps) if self.length else torch.sqrt(squares / d + self.eps)
            terms.append(a * wide**i / over)
        return _sum(terms).to(x.dtype)


ACTIVATIONS: tuple[type[nn.Module], ...] = (
    *(DReLU, Gated, PReLU, Poly, PolyNorm, PolyNormGLU, PolyPReLU, PolyReLU, PolyReLUGLU, PolyReLUNorm, PowLU),
    *(SquaredLeakyReLU, SquaredReLU, XIELU),
)


def _polynorm(x: Tensor, coeff: Tensor, eps: float) -> Tensor:
    """By Horner's rule, with a scale a row for each power."""
    wide = _wide(x)
    a, square = _like(coeff, wide), wide * wide
    powers = [square]
    for _ in range(len(a) - 2):
        powers.append(powers[-1] * square)
    scales = torch.rsqrt(torch.stack([power.sum(-1, keepdim=True) for power in powers]) / x.shape[-1] + eps)
    return _horner(wide, [a[0], *(a[1:].view(-1, *[1] * (scales.ndim - 1)) * scales)]).to(x.dtype)


def _polyrelu(x: Tensor, coeff: Tensor) -> Tensor:
    wide = _wide(x)
    return _horner(wide.relu(), [*_like(coeff, wide)]).to(x.dtype)


def _horner(x: Tensor, coeff: Sequence[Tensor]) -> Tensor:
    """``c_0 + x (c_1 + x (c_2 + ...))``, each coefficient a number or one a row."""
    y = x * coeff[-1] + coeff[-2]
    for c in reversed(coeff[:-2]):
        y = torch.addcmul(c, x, y)
    return y


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _like(a: Tensor, wide: Tensor) -> Tensor:
    return a.to(wide.dtype)


def _sum(terms: list[Tensor]) -> Tensor:
    return functools.reduce(torch.add, terms)
