"""From a recipe's ``model`` section to a network and the distribution of its initial weights, whatever the family."""

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from repro import activations
from repro.models.ffn import GatedFFN, LowRank, PlainFFN, whole
from repro.models.init import Distribution, factored, fans, small, truncated
from repro.models.mlp import mlp_from_recipe, scaled
from repro.models.moe import MoE, PerExpert
from repro.models.recurrent import elman, recurrent_from_recipe
from repro.models.resnet import classifier_from_recipe
from repro.models.transformer import Decoder

if TYPE_CHECKING:
    from repro.recipe.schema import Architecture, Model


def from_recipe(model: "Architecture") -> nn.Module:
    """The network that ``model`` describes, with uninitialised weights on the current device.

    Convolutions have the memory format of the images, channels last: otherwise the gradient of each one that is not
    1 x 1 would be copied into that of its weight at every step.
    """
    from repro.recipe.controls import MLPModel, RNNModel
    from repro.recipe.images import ResNet
    from repro.recipe.schema import Model

    if isinstance(model, ResNet):
        return classifier_from_recipe(model).to(memory_format=torch.channels_last)
    if isinstance(model, RNNModel):
        return recurrent_from_recipe(model)
    if isinstance(model, MLPModel):
        return mlp_from_recipe(model)
    assert isinstance(model, Model)
    return _decoder(model)


def distribution(model: "Architecture") -> Distribution:
    """Of the initial weights: a decoder's is the one that its ``init`` names, others have one each."""
    from repro.recipe.controls import MLPModel, RNNModel
    from repro.recipe.images import ResNet
    from repro.recipe.resnet import features
    from repro.recipe.schema import Model

    if isinstance(model, ResNet):
        return fans(features(model))
    if isinstance(model, RNNModel):
        return elman(model.d_model)
    if isinstance(model, MLPModel):
        return scaled
    assert isinstance(model, Model)
    drawn = truncated(model.d_model) if model.init == "truncated" else small(model.d_model, model.n_layers)
    return factored(drawn) if model.ffn_rank else drawn


def _decoder(model: "Model") -> Decoder:
    return Decoder(
        vocab_size=model.vocab_size,
        d_model=model.d_model,
        n_layers=model.n_layers,
        n_heads=model.n_heads,
        ffn=lambda: _ffn(model),
        rope_theta=model.rope_theta,
        norm_eps=model.norm_eps,
        qk_norm=getattr(model, "qk_norm", False),
    )


def _ffn(model: "Model") -> nn.Module:
    from repro.recipe.families import MoEModel
    from repro.recipe.parameters import ffn_width
    from repro.recipe.table import rows

    gated, width, activation = rows()[model.activation].gated, ffn_width(model), activations.build(model.activation)
    if not isinstance(model, MoEModel):
        matrix = partial(LowRank, rank=model.ffn_rank) if model.ffn_rank else whole
        return (GatedFFN if gated else PlainFFN)(model.d_model, width, activation, matrix)
    if model.coefficients == "expert":
        activation = PerExpert(activation, model.experts)  # type: ignore[arg-type]  # the recipe was checked to fit
    return MoE(model.experts, model.top_k, model.d_model, width, activation, gated=gated)
