"""The activations as they are written down: slow, plain, and the truth that everything else is held to.

Table 4 and Eqs. 1 to 3 are those of arXiv 2411.03884; what is newer names its own source. Each function computes in
float32 for 16- and 32-bit input, in float64 for float64, and rounds once, to the dtype of its first argument.
Coefficients are called ``coeff``, ascending: ``coeff[i]`` multiplies the i-th power.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, Literal, TypeVar, cast

import torch
from torch import Tensor

_F = TypeVar("_F", bound=Callable[..., Tensor])


def _wide(function: _F) -> _F:
    @functools.wraps(function)
    def widened(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        dtype = torch.promote_types(x.dtype, torch.float32)

        def widen(value: Any) -> Any:
            return value.to(dtype) if isinstance(value, Tensor) else value

        return function(widen(x), *map(widen, args), **{k: widen(v) for k, v in kwargs.items()}).to(x.dtype)

    return cast(_F, widened)


# Table 4, of one input of any shape


@_wide
def relu(x: Tensor) -> Tensor:
    """ReLU, Table 4: ``max(x, 0)``, with a slope of 0 at 0, as everywhere (``clamp`` would have 1)."""
    return torch.where(x <= 0, 0, x)


@_wide
def relu2(x: Tensor) -> Tensor:
    """ReLU², Table 4: ``max(x, 0)^2``."""
    return relu(x) ** 2


@_wide
def relu6(x: Tensor) -> Tensor:
    """ReLU6, Table 4: ``min(max(x, 0), 6)``."""
    return relu(x).clamp(max=6)


@_wide
def leaky_relu(x: Tensor, slope: float = 0.01) -> Tensor:
    """Leaky ReLU, Table 4: ``x`` above zero, ``slope x`` below (PyTorch's slope)."""
    return torch.where(x > 0, x, slope * x)


@_wide
def rrelu(x: Tensor, slope: Tensor | float = (1 / 8 + 1 / 3) / 2) -> Tensor:
    """Randomised ReLU, Table 4: ``slope`` is drawn from U(1/8, 1/3) an element in training, and its mean after."""
    return torch.where(x >= 0, x, slope * x)


@_wide
def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """Parametric ReLU, Table 4: ``x`` above zero, ``slope x`` below, with one learned slope, ``(1,)``."""
    return torch.where(x > 0, x, slope * x)


@_wide
def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent, Table 4: ``(e^x - e^-x) / (e^x + e^-x)``."""
    return torch.tanh(x)


@_wide
def softplus(x: Tensor) -> Tensor:
    """Softplus, Table 4: ``ln(1 + e^x)``."""
    return torch.logaddexp(x, torch.zeros_like(x))


@_wide
def mish(x: Tensor) -> Tensor:
    """Mish, Table 4: ``x tanh(softplus(x))``."""
    return x * torch.tanh(softplus(x))


@_wide
def sigmoid(x: Tensor) -> Tensor:
    """Sigmoid, Table 4: ``1 / (1 + e^-x)``."""
    return torch.sigmoid(x)


@_wide
def silu(x: Tensor) -> Tensor:
    """SiLU, also called Swish, Table 4: ``x sigmoid(x)``."""
    return x * torch.sigmoid(x)


@_wide
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """ELU, Table 4: ``x`` above zero, ``alpha (e^x - 1)`` below."""
    return torch.where(x > 0, x, alpha * torch.expm1(x.clamp(max=0)))


@_wide
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """CELU, Table 4: ``max(x, 0) + min(0, alpha (e^(x / alpha) - 1))``; its line there writes alpha in two ways."""
    return x.clamp(min=0) + (alpha * torch.expm1(x / alpha)).clamp(max=0)


@_wide
def gelu(x: Tensor) -> Tensor:
    """GELU, Table 4: ``x Phi(x) = x (1 + erf(x / sqrt 2)) / 2``, without the tanh approximation."""
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


@_wide
def poly(x: Tensor, coeff: Tensor) -> Tensor:
    """The plain polynomial, Poly in Table 4: ``sum_i a_i x^i``."""
    return _sum([a * x**i for i, a in enumerate(coeff)])


# The compositions of polynomials


@_wide
def norm(x: Tensor, eps: float = 1e-6) -> Tensor:
    """``x`` over its root mean square along the last dimension, as the official code normalises."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)


@_wide
def polycom(x: Tensor, coeff: Tensor, rho: Callable[[Tensor], Tensor], kind: Literal["I", "II"]) -> Tensor:
    """PolyCom, Eq. 1: Type I is ``sum_i a_i rho(x)^i``, Type II ``sum_i a_i rho(x^i)``, i = 0 ... order.

    To the letter, so that the first term is ``a_0`` in Type I and ``a_0 rho(1)`` in Type II.
    """
    if kind == "I":
        return _sum([a * rho(x) ** i for i, a in enumerate(coeff)])
    return _sum([a * rho(x**i) for i, a in enumerate(coeff)])


@_wide
def polyrelu(x: Tensor, coeff: Tensor) -> Tensor:
    """PolyReLU, Eq. 2: ``sum_i a_i max(x, 0)^i``."""
    return polycom(x, coeff, relu, "I")


@_wide
def polynorm(x: Tensor, coeff: Tensor, eps: float = 1e-6, norm: Literal["rms", "l2"] = "rms") -> Tensor:
    """PolyNorm, Eq. 3: the powers of ``x``, each normalised along the last dimension, then mixed.

    With ``norm="rms"`` as the official code computes it, which is what was trained: ``a_0 + sum_i a_i x^i / rms(x^i)``.
    With ``norm="l2"`` as Eq. 3 has it: ``sum_i a_i x^i / ||x^i||_2``, whose term of i = 0 is ``a_0 / sqrt(d)``.

    Args:
        x: ``(..., d)``.
        coeff: ``(order + 1,)``.
        eps: added to the mean squares, in both forms, so that a row of zeros leaves the term of i = 0. Not in the
            paper; the official code's value.
        norm: ``rms`` or ``l2``.
    """
    d = x.shape[-1]
    terms = [coeff[0] / math.sqrt(d) if norm == "l2" else coeff[0]]
    for i, a in enumerate(coeff[1:], start=1):
        squares = (x**i).square().sum(-1, keepdim=True)
        length = torch.sqrt(squares + d * eps) if norm == "l2" else torch.sqrt(squares / d + eps)
        terms.append(a * x**i / length)
    return _sum(terms).expand_as(x)


@_wide
def polyprelu(x: Tensor, coeff: Tensor, slope: Tensor) -> Tensor:
    """PolyPReLU: ``sum_i a_i PReLU(x)^i``. Figure 5 names it and does not define it; this is ours, Type I of Eq. 1."""
    return polycom(x, coeff, functools.partial(prelu, slope=slope), "I")


@_wide
def polyrelunorm(x: Tensor, coeff: Tensor, eps: float = 1e-6) -> Tensor:
    """PolyReLUNorm: ``a_0 + sum_i a_i norm(max(x, 0)^i)``, PolyNorm of ReLU.

    Figure 5 names it and does not define it; this is ours. (Type II to the letter, ``norm(ReLU(x^i))``, would keep
    the negative half of ``x`` in even powers.)
    """
    return polynorm(relu(x), coeff, eps)


# Newer ones, of one input


@_wide
def leaky_relu2(x: Tensor, slope: float = 0.5) -> Tensor:
    """Squared leaky ReLU: ``leaky_relu(x)^2``, with the slope that public speed-run records use."""
    return leaky_relu(x, slope) ** 2


@_wide
def xielu(x: Tensor, alpha_p: Tensor, alpha_n: Tensor, beta: float = 0.5) -> Tensor:
    """xIELU, arXiv 2411.13010: ``p x^2 + beta x`` above zero, ``n (e^x - 1 - x) + beta x`` below.

    Its slopes stay positive by ``p = softplus(alpha_p)`` and ``n = beta + softplus(alpha_n)``, two learned numbers,
    each ``(1,)``. The exponential is taken of at most -1e-6, as its authors' code does.
    """
    p, n = softplus(alpha_p), beta + softplus(alpha_n)
    return torch.where(x > 0, p * x * x, n * (torch.expm1(x.clamp(max=-1e-6)) - x)) + beta * x


# Gated ones, of two inputs (..., d): the gate and what it lets through


@_wide
def glu(gate: Tensor, up: Tensor) -> Tensor:
    """GLU, Table 4: ``sigmoid(gate) up``."""
    return sigmoid(gate) * up


@_wide
def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """SwiGLU, Table 4: ``silu(gate) up``."""
    return silu(gate) * up


@_wide
def geglu(gate: Tensor, up: Tensor) -> Tensor:
    """GEGLU, arXiv 2002.05202: ``gelu(gate) up``."""
    return gelu(gate) * up


@_wide
def reglu(gate: Tensor, up: Tensor) -> Tensor:
    """ReGLU, arXiv 2002.05202: ``relu(gate) up``."""
    return relu(gate) * up


@_wide
def drelu(gate: Tensor, up: Tensor) -> Tensor:
    """DReLU, arXiv 2406.05955: ``relu(gate) relu(up)``."""
    return relu(gate) * relu(up)


@_wide
def powlu(gate: Tensor, up: Tensor, m: float = 3.0) -> Tensor:
    """PowLU, arXiv 2605.25704: SwiGLU with ``gate^(m / (sqrt(gate) + 1))`` for the gate where that is positive."""
    positive = torch.where(gate > 0, gate, 1)  # the branch not taken must have a gradient too
    power = torch.where(gate > 0, positive ** (m / (torch.sqrt(positive) + 1)), gate)
    return power * sigmoid(gate) * up


@_wide
def polyrelu_glu(gate: Tensor, up: Tensor, coeff: Tensor) -> Tensor:
    """PolyReLU as a gate, ours, as a control of the next: ``PolyReLU(gate) up``."""
    return polyrelu(gate, coeff) * up


@_wide
def polynorm_glu(gate: Tensor, up: Tensor, coeff: Tensor, eps: float = 1e-6) -> Tensor:
    """PolyNorm as a gate, Motif's (arXiv 2508.09148, 2511.07464): ``(b + sum_i sigmoid(w_i) norm(gate^i)) up / 2``.

    ``coeff`` holds ``b`` and the ``w_i``, ``(order + 1,)``. Motif's code also clamps both inputs at 1e6, which no
    real one comes near and is left out here.
    """
    b, w = coeff[:1], coeff[1:]
    return polynorm(gate, torch.cat([b, sigmoid(w)]), eps) * up / 2


def _sum(terms: list[Tensor]) -> Tensor:
    return functools.reduce(torch.add, terms)
