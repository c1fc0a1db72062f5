"""Parameters and FLOPs of a multilayer perceptron, from its recipe: tests hold them to the model built."""

from repro.recipe.controls import MLPModel
from repro.recipe.parameters import Parameters
from repro.recipe.table import rows


def count(model: MLPModel) -> Parameters:
    """Parameters: weights and biases of the hidden layers and of the classifier, and what the activations learn.

    ``non_embedding`` is all but the classifier, and there are no ``ffn_matrices``.
    """
    coefficients = model.n_layers * rows()[model.activation].parameters
    inner = _first(model) + _others(model) + model.n_layers * model.width + coefficients
    total = inner + (model.width + 1) * model.classes
    return Parameters(total=total, active=total, non_embedding=inner, ffn_matrices=0, coefficients=coefficients)


def flops(model: MLPModel) -> int:
    """Floating-point operations of a training image, forward and backward, a multiplication and its addition as two.

    ``6 W`` for the weights ``W`` of all matrices but the first, ``4 W`` for that, since no gradient is taken for the
    image.
    """
    return 4 * _first(model) + 6 * (_others(model) + model.width * model.classes)


def _first(model: MLPModel) -> int:
    return model.inputs * model.width


def _others(model: MLPModel) -> int:
    return (model.n_layers - 1) * model.width**2
