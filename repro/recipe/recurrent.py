"""Parameters, FLOPs and memory of a recurrent network, from its recipe: tests hold them to the model built."""

from repro.recipe.controls import RNNModel
from repro.recipe.flops import FlopsPerToken
from repro.recipe.parameters import Parameters
from repro.recipe.table import rows


def count(model: RNNModel) -> Parameters:
    """Parameters: two matrices of ``d_model^2`` a layer, what its activation learns, the embedding and an untied head.

    There are no ``ffn_matrices``.
    """
    coefficients = model.n_layers * rows()[model.activation].parameters
    inner = 2 * model.n_layers * model.d_model**2 + coefficients
    total = inner + 2 * model.vocab_size * model.d_model
    return Parameters(total=total, active=total, non_embedding=inner, ffn_matrices=0, coefficients=coefficients)


def per_token(model: RNNModel) -> FlopsPerToken:
    """``6 W`` in both conventions, with ``W`` the weights of the layers and the head: there is no attention."""
    flops = 6 * (2 * model.n_layers * model.d_model**2 + model.vocab_size * model.d_model)
    return FlopsPerToken(causal=flops, palm=flops)


def activations_per_token(model: RNNModel, width: int) -> int:
    """Bytes that autograd keeps for one token, with ``width`` bytes a number.

    A layer keeps what its activation and the recurrent matrix do (``kept`` of the table), and its states once more, in
    one piece, for the layer above; in place of the last layer's, the chunked loss holds their gradient. The embedding
    is the first layer's input.
    """
    layer = (rows()[model.activation].kept + 1) * width * model.d_model
    return model.n_layers * layer + width * model.d_model
