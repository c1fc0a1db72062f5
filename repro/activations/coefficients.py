"""What all activations with polynomial coefficients share: the parameter, its beginning, and the official layout."""

from typing import Any

import torch
from torch import Tensor, nn

from repro.errors import RecipeError


class Polynomial(nn.Module):
    """Owns ``coeff``, ``(order + 1,)``, ascending: ``coeff[i]`` multiplies the i-th power.

    A state dict in the official layout, ``weight`` of shape ``(order,)`` with the highest power first and ``bias`` of
    shape ``(1,)``, loads into it.

    Args:
        order: the highest power, ``r`` in the paper.

    Raises:
        RecipeError: ``order`` is not a whole number of at least 1.
    """

    def __init__(self, order: int) -> None:
        super().__init__()
        if not isinstance(order, int) or order < 1:
            raise RecipeError(f"{type(self).__name__}: order must be a whole number of at least 1, got {order!r}")
        self.order = order
        self.coeff = nn.Parameter(torch.empty(order + 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Section 2: ``a_0 = 0`` and ``a_i = 1 / order``."""
        with torch.no_grad():
            self.coeff.fill_(1 / self.order)
            self.coeff[0] = 0

    def wide_coeff(self) -> Tensor:
        """``coeff`` in float32 or wider, for arithmetic on it before a kernel takes it."""
        return self.coeff.to(torch.promote_types(self.coeff.dtype, torch.float32))

    def extra_repr(self) -> str:
        """The order, as the constructor takes it."""
        return f"order={self.order}"

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if f"{prefix}weight" in state_dict and f"{prefix}bias" in state_dict:
            weight, bias = state_dict.pop(f"{prefix}weight"), state_dict.pop(f"{prefix}bias")
            state_dict[f"{prefix}coeff"] = self._from_official(weight, bias, prefix, error_msgs=args[-1])
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _from_official(self, weight: Tensor, bias: Tensor, prefix: str, *, error_msgs: list[str]) -> Tensor:
        if weight.shape == (self.order,) and bias.shape == (1,):
            return torch.cat([bias, weight.flip(0)])
        error_msgs.append(
            f"{prefix}weight and {prefix}bias: expected the official shapes ({self.order},) and (1,) at order "
            f"{self.order}, got {tuple(weight.shape)} and {tuple(bias.shape)}"
        )
        return self.coeff.detach()  # so that nothing but this is reported
