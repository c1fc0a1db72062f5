"""Causal self-attention with rotary positions, in Hugging Face's half-split layout."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Rotation = tuple[Tensor, Tensor]
Keep = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # takes new keys and values, and gives all that there are


def rotation(n_positions: int, head_dim: int, theta: float, device: torch.device, *, start: int = 0) -> Rotation:
    """Cosines and sines of rotary positions from ``start`` on, each ``(positions, head_dim)`` in float32.

    Computed on the fly: two small tables cost less than a buffer that has to survive meta devices and casts.
    """
    exponent = torch.arange(0, head_dim, 2, dtype=torch.int64, device=device).float() / head_dim
    position = torch.arange(start, start + n_positions, dtype=torch.float32, device=device)
    angle = position[:, None] * (1.0 / theta**exponent)
    angle = torch.cat((angle, angle), dim=-1)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, by: Rotation) -> Tensor:
    """``x`` of shape ``(batch, heads, seq, head_dim)`` rotated in float32 and returned in its own dtype."""
    cos, sin = by
    first, second = x.float().chunk(2, dim=-1)
    return (x.float() * cos + torch.cat((-second, first), dim=-1) * sin).to(x.dtype)


def documents(tokens: Tensor, end: int) -> Tensor:
    """The number of each token's document within its sequence, ``(batch, seq)``.

    Args:
        tokens: ``(batch, seq)``, token ids.
        end: the id that ends a document, of which it is a part.
    """
    ends = tokens == end
    return ends.cumsum(-1) - ends.long()


def within(document: Tensor, dtype: torch.dtype) -> Tensor:
    """What causal attention within documents adds to its scores: 0, and minus infinity where it does not look.

    Numbers rather than bools, from which torch would make numbers of its own in each layer, and keep them.

    Args:
        document: ``(batch, seq)``, of each token.
        dtype: of queries and keys.

    Returns:
        ``(batch, 1, seq, seq)``, of queries and keys.
    """
    seen = (document[:, :, None] == document[:, None, :]).tril()[:, None]
    return torch.zeros_like(seen, dtype=dtype).masked_fill_(~seen, -torch.inf)


class Attention(nn.Module):
    """Multi-head causal attention without biases; across documents, as both of the paper's runs, or within them.

    Args:
        d_model: width of the residual stream.
        n_heads: attention heads; ``d_model / n_heads`` is their width.
        qk_norm: makes what queries and keys pass, each whole, before it is split into heads (OLMoE); nothing in Llama.

    Shape:
        ``(batch, seq, d_model)`` to ``(batch, seq, d_model)``.
    """

    def __init__(self, d_model: int, n_heads: int, qk_norm: Callable[[], nn.Module] = nn.Identity) -> None:
        super().__init__()
        self.head_dim = d_model // n_heads
        self.q_norm, self.k_norm = qk_norm(), qk_norm()
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor, positions: Rotation, bias: Tensor | None = None, keep: Keep | None = None) -> Tensor:
        """Attend from each position to itself and those before it, or where ``bias`` says: see :func:`within`.

        Rotary positions need not begin anew with a document: scores depend on their differences only. With ``keep``
        those before may be kept from earlier: see :meth:`repro.models.cache.Cache.extend`.
        """
        q, k = self.q_norm(self.q_proj(x)), self.k_norm(self.k_proj(x))
        q, k, v = (self._heads(projected) for projected in (q, k, self.v_proj(x)))
        q, k = rotate(q, positions), rotate(k, positions)
        if keep is not None:
            k, v = keep(k, v)
        causal = bias is None and q.shape == k.shape  # a single token after others sees all that is there
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, is_causal=causal)
        y: Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))
        return y

    def _heads(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        return heads
