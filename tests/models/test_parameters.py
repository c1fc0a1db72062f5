"""What decays is decided by the module that owns a parameter."""

import pytest
from torch import nn

from repro import activations
from repro.models import Decoder, PlainFFN
from repro.models.parameters import kinds


def decoder(activation):
    return Decoder(vocab_size=9, d_model=8, n_layers=1, n_heads=2, ffn=lambda: PlainFFN(8, 12, activation()))


def test_each_parameter_has_the_kind_of_its_module():
    kind = kinds(decoder(activations.PolyNorm))
    assert kind["embed_tokens.weight"] == "embeddings"
    assert kind["lm_head.weight"] == "matrices"
    assert kind["layers.0.input_layernorm.weight"] == "norms"
    assert kind["layers.0.mlp.up_proj.weight"] == "matrices"
    assert kind["layers.0.mlp.act_fn.coeff"] == "coefficients"


def test_what_an_activation_learns_is_a_coefficient_even_when_it_is_a_matrix():
    kind = kinds(decoder(lambda: nn.Linear(12, 12)))
    assert kind["layers.0.mlp.act_fn.weight"] == "coefficients"


def test_a_module_of_no_known_kind_is_refused():
    model = decoder(activations.PolyNorm)
    model.extra = nn.LayerNorm(8)
    with pytest.raises(TypeError, match="LayerNorm owns parameters of no known kind"):
        kinds(model)
