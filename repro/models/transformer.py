"""The dense decoder: pre-norm blocks around a swappable feed-forward network (section 4.1)."""

from collections.abc import Callable

from torch import Tensor, nn

from repro.models.attention import Attention, Rotation, rotation
from repro.models.loss import next_token_loss
from repro.models.norm import RMSNorm


class Block(nn.Module):
    """Attention, then the feed-forward network, each normalised before and added to the residual stream."""

    def __init__(self, d_model: int, n_heads: int, ffn: nn.Module, norm_eps: float) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(d_model, norm_eps)
        self.self_attn = Attention(d_model, n_heads)
        self.post_attention_layernorm = RMSNorm(d_model, norm_eps)
        self.mlp = ffn

    def forward(self, x: Tensor, positions: Rotation) -> Tensor:
        """The residual stream ``(batch, seq, d_model)`` after this block."""
        x = x + self.self_attn(self.input_layernorm(x), positions)
        y: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return y


class Decoder(nn.Module):
    """A Llama-style language model whose feed-forward network is passed in.

    State-dict names are those of Hugging Face's ``LlamaForCausalLM`` without the leading ``model.``.

    Args:
        vocab_size: rows of the embedding and of the head, which are not tied.
        d_model: width of the residual stream.
        n_layers: number of blocks.
        n_heads: attention heads; ``d_model / n_heads`` is their width.
        ffn: makes the feed-forward network of one block, ``(..., d_model)`` to ``(..., d_model)``; called once a
            block, so that blocks share no coefficients.
        rope_theta: base of the rotary positions.
        norm_eps: added to the mean square in every RMSNorm.
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        d_model: int,
        n_layers: int,
        n_heads: int,
        ffn: Callable[[], nn.Module],
        rope_theta: float = 10_000.0,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.head_dim, self.rope_theta = d_model // n_heads, rope_theta
        self.embed_tokens = nn.Embedding(vocab_size, d_model)
        self.layers = nn.ModuleList(Block(d_model, n_heads, ffn(), norm_eps) for _ in range(n_layers))
        self.norm = RMSNorm(d_model, norm_eps)
        self.lm_head = nn.Linear(d_model, vocab_size, bias=False)

    def forward(self, tokens: Tensor, targets: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Logits, or with ``targets`` the loss.

        Args:
            tokens: ``(batch, seq)``, token ids.
            targets: ``(batch, seq)``, the id that follows each token.

        Returns:
            Without targets the logits, ``(batch, seq, vocab)``. With targets the mean loss in nats per token, a
            scalar, and each token's loss, ``(batch, seq)`` and detached: see :func:`repro.models.loss.next_token_loss`.
        """
        hidden = self.hidden(tokens)
        if targets is None:
            logits: Tensor = self.lm_head(hidden)
            return logits
        return next_token_loss(hidden, self.lm_head.weight, targets)

    def hidden(self, tokens: Tensor) -> Tensor:
        """The normalised residual stream after the last block, ``(batch, seq, d_model)``."""
        positions = rotation(tokens.shape[1], self.head_dim, self.rope_theta, tokens.device)
        x: Tensor = self.embed_tokens(tokens)
        for block in self.layers:
            x = block(x, positions)
        y: Tensor = self.norm(x)
        return y
