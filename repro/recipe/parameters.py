"""Parameters of a model, exactly, from its recipe: a test holds them to the models built on the meta device."""

from dataclasses import dataclass

from repro.errors import RecipeError
from repro.recipe.families import MoEModel
from repro.recipe.schema import Model
from repro.recipe.table import rows


@dataclass(frozen=True)
class Parameters:
    """How many there are.

    ``total`` is all of them, ``active`` all but the experts that a token does not pass, ``non_embedding`` all but
    the input embedding and the head. ``ffn_matrices`` are what arms of a comparison have in common to the last one;
    ``coefficients`` are what the activations learn, in ``total``, ``active`` and ``non_embedding`` too.
    """

    total: int
    active: int
    non_embedding: int
    ffn_matrices: int
    coefficients: int


def count(model: Model) -> Parameters:
    """Parameters of the decoder: :func:`block` a layer and what its activations learn; a last norm; the embedding and
    an untied head of ``vocab_size * d_model`` each.
    """
    ffn = model.n_layers * experts(model) * expert(model)
    coefficients = model.n_layers * activations(model) * rows()[model.activation].parameters
    inner = model.n_layers * block(model) + model.d_model + coefficients
    total = inner + 2 * model.vocab_size * model.d_model
    idle = model.n_layers * (experts(model) - active_experts(model)) * expert(model)
    return Parameters(
        total=total, active=total - idle, non_embedding=inner, ffn_matrices=ffn, coefficients=coefficients
    )


def ffn_match_residual(model: Model) -> float:
    """FFN matrices beyond those of plain FFNs of width ``d_ff`` and the same rank, as a fraction of them.

    0 where matrices are whole and widths exact. Of one rank a gated FFN has more, since its three pairs of factors have
    three sides of ``d_model``.
    """
    plain = 2 * model.n_layers * experts(model) * _matrix(model, model.d_ff)
    return count(model).ffn_matrices / plain - 1


def ffn_width(model: Model) -> int:
    """The width of the model's FFN: ``d_ff``, or two thirds of it where the activation is gated."""
    return gated_width(model.d_ff) if rows()[model.activation].gated else model.d_ff


def gated_width(d_ff: int) -> int:
    """Two thirds of ``d_ff``, so that three matrices have the parameters of two (Table 5: 8256 to 5504; Table 6: 1536
    to 1024).

    Raises:
        RecipeError: it is not whole.
    """
    if d_ff % 3:
        below = d_ff - d_ff % 3
        raise RecipeError(
            f"d_ff={d_ff} leaves a gated FFN two thirds of a width that is not whole; "
            f"expected a multiple of 3, such as {below} or {below + 3}"
        )
    return d_ff // 3 * 2


def block(model: Model) -> int:
    """Parameters of one block's matrices and norms: ``4 d_model^2`` of attention, the FFN or the experts with their
    router, two norms, and two more where queries and keys are normalised.
    """
    norms, router = 2, 0
    if isinstance(model, MoEModel):
        norms, router = (4 if model.qk_norm else 2), model.experts * model.d_model
    return 4 * model.d_model**2 + experts(model) * expert(model) + router + norms * model.d_model


def expert(model: Model) -> int:
    """Weights of one FFN."""
    return ffn_matrices(model) * _matrix(model, ffn_width(model))


def ffn_matrices(model: Model) -> int:
    """Matrices of one FFN, each whole or a product of two factors."""
    return 3 if rows()[model.activation].gated else 2


def _matrix(model: Model, width: int) -> int:
    """Weights of one that leads to or from so many hidden numbers."""
    return model.ffn_rank * (model.d_model + width) if model.ffn_rank else model.d_model * width


def experts(model: Model) -> int:
    """FFNs in a block."""
    return model.experts if isinstance(model, MoEModel) else 1


def active_experts(model: Model) -> int:
    """FFNs in a block that a token passes."""
    return model.top_k if isinstance(model, MoEModel) else 1


def activations(model: Model) -> int:
    """Sets of coefficients in a block, where the activation learns any."""
    return model.experts if isinstance(model, MoEModel) and model.coefficients == "expert" else 1
