"""Parameters and floating-point operations of any family's model."""

from repro.recipe import flops, mlp, parameters, recurrent, resnet
from repro.recipe.controls import MLPModel, RNNModel
from repro.recipe.flops import FlopsPerToken
from repro.recipe.images import ImageRecipe, ResNet
from repro.recipe.parameters import Parameters
from repro.recipe.schema import Architecture, LanguageRecipe, Model


def count(model: Architecture) -> Parameters:
    """Parameters, exactly."""
    if isinstance(model, ResNet):
        return resnet.count(model)
    if isinstance(model, RNNModel):
        return recurrent.count(model)
    if isinstance(model, MLPModel):
        return mlp.count(model)
    assert isinstance(model, Model)
    return parameters.count(model)


def per_token(recipe: LanguageRecipe) -> FlopsPerToken:
    """Of training, a token."""
    if isinstance(recipe.model, RNNModel):
        return recurrent.per_token(recipe.model)
    assert isinstance(recipe.model, Model)
    return flops.per_token(recipe.model, recipe.data.context)


def per_image(recipe: ImageRecipe) -> int:
    """Of training, an image."""
    if isinstance(recipe.model, MLPModel):
        return mlp.flops(recipe.model)
    assert isinstance(recipe.model, ResNet)
    return resnet.flops(recipe.model, recipe.data.size)
