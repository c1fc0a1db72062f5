"""What the recipes of two small controls are made of: networks that no normalisation layer keeps stable."""

from typing import Literal, Self

from pydantic import PositiveInt, model_validator

from repro.recipe.images import ImageModel, ImageRecipe
from repro.recipe.schema import LanguageRecipe, TextModel


class RNNModel(TextModel):
    """An Elman network, whose activation stands in the recurrence; ``d_model`` is the width of each layer's state."""


class RNNRecipe(LanguageRecipe):
    """A recurrent language model."""

    family: Literal["rnn"]
    model: RNNModel

    @model_validator(mode="after")
    def _is_no_decoder(self) -> Self:
        if self.data.document_mask:
            raise ValueError("data.document_mask=true is for decoders, whose attention it bounds; rnn has none")
        if self.optim.rank_penalty:
            penalty = f"optim.rank_penalty={self.optim.rank_penalty:g}"
            raise ValueError(f"{penalty} is for decoders, whose FFN matrices it moves; rnn has none")
        return self


class MLPModel(ImageModel):
    """A multilayer perceptron on flattened images."""

    inputs: PositiveInt  # numbers of an image, three channels of data.size x data.size
    width: PositiveInt
    n_layers: PositiveInt  # hidden ones, each with an activation


class MLPRecipe(ImageRecipe):
    """A classifier of images of one size."""

    family: Literal["mlp"]
    model: MLPModel

    @model_validator(mode="after")
    def _takes_the_images(self) -> Self:
        size, test_size, inputs = self.data.size, self.data.test_size, self.model.inputs
        if test_size != size:
            raise ValueError(f"data.test_size={test_size} is not data.size={size}, the one size that an MLP takes")
        if inputs != 3 * size**2:
            raise ValueError(f"model.inputs={inputs} is not the {3 * size**2} numbers of an image of data.size={size}")
        return self
