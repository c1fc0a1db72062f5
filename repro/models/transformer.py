"""The decoder: pre-norm blocks around a swappable feed-forward network or mixture of experts (sections 4.1, 4.2)."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from repro.models.attention import Attention, Keep, Rotation, rotation, within
from repro.models.cache import Cache, following
from repro.models.loss import next_token_loss
from repro.models.moe import MoE, Routing
from repro.models.norm import RMSNorm


class Loss(NamedTuple):
    """Of a batch of tokens.

    Attributes:
        mean: differentiable, in nats per token.
        tokens: of each token, ``(batch, seq)``, detached.
        routing: what the router of each mixture of experts did, in the order of layers; none in a dense model.
    """

    mean: Tensor
    tokens: Tensor
    routing: tuple[Routing, ...]


class Block(nn.Module):
    """Attention, then the feed-forward network, each normalised before and added to the residual stream."""

    def __init__(self, d_model: int, n_heads: int, ffn: nn.Module, norm_eps: float, *, qk_norm: bool) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(d_model, norm_eps)
        self.self_attn = Attention(d_model, n_heads, partial(RMSNorm, d_model, norm_eps) if qk_norm else nn.Identity)
        self.post_attention_layernorm = RMSNorm(d_model, norm_eps)
        self.mlp = ffn

    def forward(
        self, x: Tensor, positions: Rotation, bias: Tensor | None = None, keep: Keep | None = None
    ) -> tuple[Tensor, Routing | None]:
        """The residual stream ``(batch, seq, d_model)`` after this block, and the routing if its FFN routes."""
        x = x + self.self_attn(self.input_layernorm(x), positions, bias, keep)
        h = self.post_attention_layernorm(x)
        y, routing = self.mlp(h) if isinstance(self.mlp, MoE) else (self.mlp(h), None)
        return x + y, routing


class Decoder(nn.Module):
    """A Llama-style language model whose feed-forward network is passed in.

    State-dict names are those of Hugging Face's ``LlamaForCausalLM``, or of ``OlmoeForCausalLM`` with a mixture of
    experts, without the leading ``model.``.

    Args:
        vocab_size: rows of the embedding and of the head, which are not tied.
        d_model: width of the residual stream.
        n_layers: number of blocks.
        n_heads: attention heads; ``d_model / n_heads`` is their width.
        ffn: makes the feed-forward network of one block, ``(..., d_model)`` to ``(..., d_model)``; called once a
            block, so that blocks share no coefficients.
        rope_theta: base of the rotary positions.
        norm_eps: added to the mean square in every RMSNorm.
        qk_norm: whether queries and keys are normalised, before they are split into heads (OLMoE).
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
        qk_norm: bool = False,
    ) -> None:
        super().__init__()
        self.head_dim, self.rope_theta = d_model // n_heads, rope_theta
        self.embed_tokens = nn.Embedding(vocab_size, d_model)
        self.layers = nn.ModuleList(Block(d_model, n_heads, ffn(), norm_eps, qk_norm=qk_norm) for _ in range(n_layers))
        self.norm = RMSNorm(d_model, norm_eps)
        self.lm_head = nn.Linear(d_model, vocab_size, bias=False)

    def forward(
        self,
        tokens: Tensor,
        targets: Tensor | None = None,
        document: Tensor | None = None,
        *,
        wanted: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor | Loss:
        """Logits, or with ``targets`` the loss.

        Args:
            tokens: ``(batch, seq)``, token ids.
            targets: ``(batch, seq)``, the id that follows each token.
            document: ``(batch, seq)``, the number of each token's document, within which attention stays; None lets it
                run across them.
            wanted: ``(batch, seq)`` bool, the positions of which logits are computed; None is all.
            cache: holds what was read before ``tokens``, and takes them in; not with ``document``.

        Returns:
            Without targets the logits, ``(batch, seq, vocab)``, or of the ``n`` wanted positions row by row,
            ``(n, vocab)``; with targets the losses, by chunks: see :func:`repro.models.loss.next_token_loss`.

        Raises:
            ValueError: ``cache`` has no room, holds another batch, or is given with ``document``.
        """
        hidden, routing = self.hidden(tokens, document, cache)
        if targets is None:
            logits: Tensor = self.lm_head(hidden if wanted is None else hidden[wanted])
            return logits
        return Loss(*next_token_loss(hidden, self.lm_head.weight, targets), routing)

    def hidden(
        self, tokens: Tensor, document: Tensor | None = None, cache: Cache | None = None
    ) -> tuple[Tensor, tuple[Routing, ...]]:
        """The normalised residual stream after the last block, ``(batch, seq, d_model)``, and what the routers did."""
        new, before = tokens.shape[1], cache.length if cache else 0
        positions = rotation(new, self.head_dim, self.rope_theta, tokens.device, start=before)
        x: Tensor = self.embed_tokens(tokens)
        bias = _bias(x, document, cache)
        routings = []
        for layer, block in enumerate(self.layers):
            keep = (partial(cache.extend, layer),) if cache else ()
            x, routing = block(x, positions, bias, *keep)
            routings += [routing] if routing else []
        if cache:
            cache.length += new
        return self.norm(x), tuple(routings)


def _bias(x: Tensor, document: Tensor | None, cache: Cache | None) -> Tensor | None:
    """What is added to the scores of attention, beside which it is causal."""
    if document is None:
        return following(x.shape[1], cache.length if cache else 0, x)
    if cache:
        raise ValueError("attention within documents does not go with a cache, which does not know where they end")
    return within(document, x.dtype)
