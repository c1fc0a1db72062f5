"""Root-mean-square normalisation of the residual stream."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RMSNorm(nn.Module):
    """``x / rms(x)`` in float32, rounded to the input's dtype, then scaled.

    Hugging Face's Llama, OLMo and the official Megatron code all round before they scale; ``nn.RMSNorm`` scales
    before it rounds and differs by one unit in the last place of bfloat16.

    Shape:
        ``(..., d_model)`` to ``(..., d_model)``.
    """

    def __init__(self, d_model: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(d_model))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Ones."""
        nn.init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` with unit root mean square over its last dimension, times the weight."""
        return F.rms_norm(x.float(), x.shape[-1:], None, self.eps).to(x.dtype) * self.weight

    def extra_repr(self) -> str:
        """The width and eps."""
        return f"{self.weight.numel()}, eps={self.eps}"
