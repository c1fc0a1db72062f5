"""Feed-forward networks, Eq. 4: two matrices around an activation, or three around a gated one."""

from torch import Tensor, nn


class PlainFFN(nn.Module):
    """``down(rho(up(x)))`` without biases (Eq. 4), of width ``d_ff``.

    Shape:
        ``(..., d_model)`` to ``(..., d_model)``.
    """

    def __init__(self, d_model: int, d_ff: int, activation: nn.Module) -> None:
        super().__init__()
        self.up_proj = nn.Linear(d_model, d_ff, bias=False)
        self.act_fn = activation
        self.down_proj = nn.Linear(d_ff, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The network's output at ``x``."""
        y: Tensor = self.down_proj(self.act_fn(self.up_proj(x)))
        return y


class GatedFFN(nn.Module):
    """``down(rho(gate(x), up(x)))`` without biases, as SwiGLU (Table 4), of width ``d_ff``.

    Shape:
        ``(..., d_model)`` to ``(..., d_model)``.
    """

    def __init__(self, d_model: int, d_ff: int, activation: nn.Module) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(d_model, d_ff, bias=False)
        self.up_proj = nn.Linear(d_model, d_ff, bias=False)
        self.act_fn = activation
        self.down_proj = nn.Linear(d_ff, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The network's output at ``x``."""
        y: Tensor = self.down_proj(self.act_fn(self.gate_proj(x), self.up_proj(x)))
        return y
