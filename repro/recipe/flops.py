"""Floating-point operations of training, in the two conventions that MFU is quoted in."""

from dataclasses import dataclass

from repro.recipe.families import MoEModel
from repro.recipe.parameters import active_experts, expert
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

    ``W`` counts the weights that a token is multiplied with: attention, router, its experts or FFN, and the head,
    neither the embedding nor norms.
    """
    router = model.experts * model.d_model if isinstance(model, MoEModel) else 0
    layer = 4 * model.d_model**2 + router + active_experts(model) * expert(model)
    weights = model.n_layers * layer + model.vocab_size * model.d_model
    scores = 6 * model.n_layers * model.d_model * context
    return FlopsPerToken(causal=6 * weights + scores, palm=6 * weights + 2 * scores)
