"""The paper's activations: compositions of polynomials with trainable coefficients, one set a module."""

import math
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from repro import kernels
from repro.activations import reference
from repro.activations.coefficients import Polynomial
from repro.activations.inner import Inner, inner
from repro.activations.recompute import recomputed
from repro.errors import RecipeError, nearest


class PolyCom(Polynomial):
    """PolyCom, Eq. 1, around any inner function: ``sum_i a_i rho(x)^i`` or ``sum_i a_i rho(x^i)``.

    Args:
        kind: ``I``, the powers of the function, or ``II``, the function of the powers.
        rho: relu, prelu, sigmoid, silu, gelu or norm, or a module or function of one tensor.
        order: the highest power, ``r`` in the paper.

    Raises:
        RecipeError: an option that there is not.
    """

    def __init__(self, kind: Literal["I", "II"], rho: Inner, order: int = 3) -> None:
        super().__init__(order)
        if kind not in {"I", "II"}:
            raise RecipeError(f"PolyCom: kind must be 'I' or 'II', got {kind!r}")
        self.kind, self.rho = kind, inner(rho)

    def forward(self, x: Tensor) -> Tensor:
        """The function at ``x``, ``(..., d_ff)``."""
        return recomputed(reference.polycom, x, self.coeff, self.rho, self.kind)

    def extra_repr(self) -> str:
        """The options, as the constructor takes them."""
        return f"kind={self.kind!r}, {super().extra_repr()}"


class PolyReLU(Polynomial):
    """PolyReLU, Eq. 2: ``sum_i a_i max(x, 0)^i``, with r = 3 unless an ablation says otherwise."""

    def __init__(self, order: int = 3) -> None:
        super().__init__(order)

    def forward(self, x: Tensor) -> Tensor:
        """The function at ``x``, of any shape."""
        return kernels.polyrelu(x, self.coeff)


class PolyNorm(Polynomial):
    """PolyNorm, Eq. 3: the powers of ``x``, each normalised along the last dimension, then mixed.

    Args:
        order: the highest power, ``r`` in the paper (3 unless an ablation says otherwise).
        eps: added to the mean squares (the official code's value; not in the paper).
        norm: ``rms`` as the official code, which is what was trained, or ``l2`` as Eq. 3 has it. For both see
            :func:`repro.activations.reference.polynorm`.

    Raises:
        RecipeError: an option that there is not.
    """

    def __init__(self, order: int = 3, eps: float = 1e-6, norm: Literal["rms", "l2"] = "rms") -> None:
        super().__init__(order)
        if norm not in {"rms", "l2"}:
            raise RecipeError(f"PolyNorm: norm must be 'rms' or 'l2', got {norm!r}.{nearest(str(norm), ['rms', 'l2'])}")
        self.eps, self.norm = eps, norm

    def forward(self, x: Tensor) -> Tensor:
        """The function at ``x``, ``(..., d_ff)``."""
        if self.norm == "rms":
            return kernels.polynorm(x, self.coeff, self.eps)
        # The L2 norm is the root mean square times sqrt(d), also that of x^0: every term of Eq. 3 is so much smaller.
        return kernels.polynorm(x, self.wide_coeff() / math.sqrt(x.shape[-1]), self.eps)

    def extra_repr(self) -> str:
        """The options, as the constructor takes them."""
        return f"{super().extra_repr()}, eps={self.eps}, norm={self.norm!r}"


class PolyPReLU(PolyCom):
    """PolyPReLU (Figure 5; its definition is ours): ``sum_i a_i PReLU(x)^i``, one more parameter, the slope."""

    def __init__(self, order: int = 3) -> None:
        super().__init__("I", "prelu", order)


class PolyReLUNorm(Polynomial):
    """PolyReLUNorm (Figure 5; its definition is ours): ``a_0 + sum_i a_i norm(max(x, 0)^i)``."""

    def __init__(self, order: int = 3, eps: float = 1e-6) -> None:
        super().__init__(order)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """The function at ``x``, ``(..., d_ff)``."""
        return kernels.polynorm(F.relu(x), self.coeff, self.eps)

    def extra_repr(self) -> str:
        """The options, as the constructor takes them."""
        return f"{super().extra_repr()}, eps={self.eps}"
