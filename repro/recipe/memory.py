"""Memory of a training step on one device, by part, as the kit trains: no recomputation, cross-entropy in chunks.

A GPU shards float32 weights, their gradients and AdamW's two moments over all devices and computes in bfloat16 on one
gathered block at a time. A CPU holds all of them and computes in float32. What allocators round up and libraries hold
is not counted: :mod:`repro.recipe.plan` fills only part of a device.
"""

from dataclasses import dataclass

from repro.recipe import parameters
from repro.recipe.parameters import ffn_width
from repro.recipe.schema import Machine, Model, Recipe
from repro.recipe.table import rows

GB = 1e9
LOGITS_PER_CHUNK = 2**25  # of repro.models.loss


@dataclass(frozen=True)
class Memory:
    """GB (10^9 bytes) on one device.

    Attributes:
        weights: float32.
        gradients: float32.
        moments: AdamW's two, float32.
        gathered: unsharded weights of the root and of two blocks, one of them fetched ahead, and one block's gradient.
        activations: what autograd keeps from the forward pass.
        loss: a chunk of logits with what is computed from it, and the head's gradient.
    """

    weights: float
    gradients: float
    moments: float
    gathered: float
    activations: float
    loss: float

    @property
    def total(self) -> float:
        """All parts."""
        total: float = sum(vars(self).values())
        return total


def memory(recipe: Recipe, machine: Machine, micro_batch: int) -> Memory:
    """Memory on each device of ``machine`` with ``micro_batch`` sequences at a time."""
    model, tokens = recipe.model, micro_batch * recipe.data.context
    width = bytes_per_number(recipe, machine)
    shard = 4 * parameters.count(model).total / machine.world_size / GB
    return Memory(
        weights=shard,
        gradients=shard,
        moments=2 * shard,
        gathered=_gathered(model, width) / GB if machine.accelerator == "cuda" else 0.0,
        activations=tokens * activations_per_token(model, width) / GB,
        loss=_loss(model, tokens, width) / GB,
    )


def bytes_per_number(recipe: Recipe, machine: Machine) -> int:
    """Of what is computed: 2 in bfloat16, 4 in float32, which is all that a CPU computes in."""
    return 2 if machine.accelerator == "cuda" and recipe.precision == "bf16" else 4


def activations_per_token(model: Model, width: int) -> int:
    """Bytes that autograd keeps for one token, with ``width`` bytes a number.

    Each norm keeps its input in float32, its value before and after the scale: ``(4 + 2 width) d_model``. Attention
    keeps q, k, v and its output: ``4 width d_model``; their input is the norm's. The FFN keeps ``kept`` tensors of its
    own width (the table of activations). The last norm is one more; its output waits twice for the chunked loss.
    """
    norm = (4 + 2 * width) * model.d_model
    attention = 4 * width * model.d_model
    ffn = rows()[model.activation].kept * width * ffn_width(model)
    return model.n_layers * (2 * norm + attention + ffn) + norm + width * model.d_model


def _gathered(model: Model, width: int) -> int:
    """FSDP2's unsharded weights, and a gradient in the compute type with its float32 copy to reduce."""
    block, root = parameters.block(model), 2 * model.vocab_size * model.d_model
    return width * (2 * block + root) + (width + 4) * block


def _loss(model: Model, tokens: int, width: int) -> int:
    """A chunk's logits, log-probabilities and error (12 bytes a logit in bfloat16, 8 in float32), and the head's
    gradient, summed in float32.
    """
    logits = min(LOGITS_PER_CHUNK, tokens * model.vocab_size)
    head = model.vocab_size * model.d_model
    return (12 if width == 2 else 8) * logits + (4 + width if width == 2 else 4) * head
