"""Models that know one device; how they are spread over several is decided elsewhere."""

from typing import TYPE_CHECKING

from repro import activations
from repro.models.ffn import GatedFFN, PlainFFN
from repro.models.transformer import Decoder

if TYPE_CHECKING:
    from repro.recipe.schema import Model

__all__ = ["Decoder", "GatedFFN", "PlainFFN", "from_recipe"]


def from_recipe(model: "Model") -> Decoder:
    """The decoder that a recipe's ``model`` section describes, with uninitialised weights on the current device."""
    from repro.recipe.parameters import ffn_width
    from repro.recipe.table import rows

    kind = GatedFFN if rows()[model.activation].gated else PlainFFN
    width = ffn_width(model)
    return Decoder(
        vocab_size=model.vocab_size,
        d_model=model.d_model,
        n_layers=model.n_layers,
        n_heads=model.n_heads,
        ffn=lambda: kind(model.d_model, width, activations.build(model.activation)),
        rope_theta=model.rope_theta,
        norm_eps=model.norm_eps,
    )
