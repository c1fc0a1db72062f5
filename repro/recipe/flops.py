"""Floating-point operations of training, in the two conventions that MFU is quoted in."""

from dataclasses import dataclass

from repro.recipe.parameters import count
from repro.recipe.schema import Model


@dataclass(frozen=True)
class FlopsPerToken:
    """Forward and backward, a multiplication and its addition counted as two; the activation itself is not counted.

    ``causal`` counts the half of the attention scores that a causal model computes, ``palm`` all of them, as the PaLM
    paper and most reports of MFU do.
    """

    causal: int
    palm: int


def per_token(model: Model, context: int) -> FlopsPerToken:
    """``6 W + 6 n_layers d_model context`` (causal), with 12 for 6 in the last term (PaLM).

    ``W`` counts the weights that are multiplied with: attention, FFN and head, neither the embedding nor norms.
    """
    weights = 4 * model.n_layers * model.d_model**2 + count(model).ffn_matrices + model.vocab_size * model.d_model
    scores = 6 * model.n_layers * model.d_model * context
    return FlopsPerToken(causal=6 * weights + scores, palm=6 * weights + 2 * scores)
