"""Feed-forward networks, Eq. 4: two matrices around an activation, or three around a gated one."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

Matrix = Callable[[int, int], nn.Module]  # of so many inputs and outputs, without a bias
whole = partial(nn.Linear, bias=False)


class LowRank(nn.Module):
    """``left(right(x))``: a matrix of a rank of at most ``rank``, as the product of two. Ours.

    Its factors are matrices like others: each decays, so the product does at twice their rate.

    Shape:
        ``(..., inputs)`` to ``(..., outputs)``.
    """

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.left = whole(rank, outputs)  # first, as in the product
        self.right = whole(inputs, rank)

    def forward(self, x: Tensor) -> Tensor:
        """The product at ``x``, without making it."""
        y: Tensor = self.left(self.right(x))
        return y

    @property
    def weight(self) -> Tensor:
        """The product, ``(outputs, inputs)``, as the weight of a whole matrix."""
        product: Tensor = self.left.weight @ self.right.weight
        return product


class PlainFFN(nn.Module):
    """``down(rho(up(x)))`` without biases (Eq. 4), of width ``d_ff``.

    Args:
        d_model: width of the residual stream.
        d_ff: of what is hidden.
        activation: between the matrices.
        matrix: makes each of them.

    Shape:
        ``(..., d_model)`` to ``(..., d_model)``.
    """

    def __init__(self, d_model: int, d_ff: int, activation: nn.Module, matrix: Matrix = whole) -> None:
        super().__init__()
        self.up_proj = matrix(d_model, d_ff)
        self.act_fn = activation
        self.down_proj = matrix(d_ff, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """The network's output at ``x``."""
        y: Tensor = self.down_proj(self.act_fn(self.up_proj(x)))
        return y


class GatedFFN(nn.Module):
    """``down(rho(gate(x), up(x)))`` without biases, as SwiGLU (Table 4), of width ``d_ff``; arguments as PlainFFN's.

    Shape:
        ``(..., d_model)`` to ``(..., d_model)``.
    """

    def __init__(self, d_model: int, d_ff: int, activation: nn.Module, matrix: Matrix = whole) -> None:
        super().__init__()
        self.gate_proj = matrix(d_model, d_ff)
        self.up_proj = matrix(d_model, d_ff)
        self.act_fn = activation
        self.down_proj = matrix(d_ff, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """The network's output at ``x``."""
        y: Tensor = self.down_proj(self.act_fn(self.gate_proj(x), self.up_proj(x)))
        return y
