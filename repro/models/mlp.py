"""A multilayer perceptron without normalisation layers: a control beside the ResNet, whose norms tame anything."""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from repro.models.sites import Activation, maker

if TYPE_CHECKING:
    from repro.recipe.controls import MLPModel

# Standard deviation of what enters the first activation, for images of deviation 1 (ours, as in the recurrent network).
# At 1 three layers of PolyReLU give a first loss of 1e8 before anything is learned.
FIRST_DEVIATION = 0.1


class MLP(nn.Module):
    """Hidden layers ``act(W x + b)`` of one width on flattened images, then a linear classifier.

    Args:
        inputs: numbers of an image, ``3 size^2``.
        classes: outputs.
        width: of each hidden layer.
        n_layers: hidden layers, each with an activation of its own.
        activation: a plain one: a name of the table, or what makes a new module.

    Shape:
        normalised images ``(batch, 3, size, size)``, in any memory format, to logits ``(batch, classes)``.

    Raises:
        RecipeError: an activation that is gated, unknown, or a module in place of what makes one.
    """

    def __init__(self, *, inputs: int, classes: int, width: int, n_layers: int, activation: Activation) -> None:
        super().__init__()
        new = maker(activation)
        self.layers = nn.ModuleList(MLPLayer(width if i else inputs, width, new()) for i in range(n_layers))
        self.fc = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(batch, classes)``."""
        x = images.flatten(1)
        for layer in self.layers:
            x = layer(x)
        logits: Tensor = self.fc(x)
        return logits

    def activations(self) -> dict[str, nn.Module]:
        """The activation of each hidden layer, by its name."""
        return {f"layers.{i}.act": self.get_submodule(f"layers.{i}.act") for i in range(len(self.layers))}


class MLPLayer(nn.Module):
    """``act(W x + b)``: ``(batch, inputs)`` to ``(batch, width)``."""

    def __init__(self, inputs: int, width: int, act: nn.Module) -> None:
        super().__init__()
        self.linear, self.act = nn.Linear(inputs, width), act

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output for ``x``."""
        y: Tensor = self.act(self.linear(x))
        return y


def scaled(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """The initial weights of :class:`MLP`, one distribution for all activations; biases begin at 0.

    Hidden matrices N(0, 2 / inputs), with which ReLU keeps its input's mean square (He et al., arXiv 1502.01852). The
    rest is ours: the first N(0, 0.01 / inputs), the classifier N(0, 1 / inputs).
    """
    if len(shape) == 1:
        return torch.zeros(shape)
    gain = 1.0 if name.startswith("fc.") else FIRST_DEVIATION if name.startswith("layers.0.") else math.sqrt(2)
    return torch.empty(shape).normal_(0, gain / math.sqrt(shape[1]), generator=generator)


def mlp_from_recipe(model: "MLPModel") -> MLP:
    """The network that a recipe's ``model`` section describes, with uninitialised weights on the current device."""
    return MLP(**model.model_dump())
