"""Memory of a training step on one device, by part, as the kit trains: no recomputation, cross-entropy in chunks.

Under ``layout.strategy=fsdp2`` devices share out float32 weights, their gradients and the optimizer's moments, and a
GPU computes in bfloat16 on one gathered block at a time. Under ``ddp`` each device holds all of them. One CPU does too,
and computes in float32. What allocators round up and libraries hold is not counted: :mod:`repro.recipe.plan` fills only
part of a device.
"""

from dataclasses import dataclass

from repro.recipe import parameters, recurrent, resnet
from repro.recipe.controls import MLPModel, RNNModel
from repro.recipe.counting import count
from repro.recipe.families import MoEModel
from repro.recipe.images import ImageRecipe, ResNet
from repro.recipe.parameters import ffn_width
from repro.recipe.schema import LanguageRecipe, Machine, Model, Recipe, TextModel
from repro.recipe.table import rows

GB = 1e9
LOGITS_PER_CHUNK = 2**25  # of repro.models.loss


@dataclass(frozen=True)
class Memory:
    """GB (10^9 bytes) on one device.

    Attributes:
        weights: float32.
        gradients: float32; under ddp twice, in the buckets that ranks average and, before a step's last micro-batch,
            beside them.
        moments: AdamW's and LAMB's two or SGD's one, float32.
        gathered: unsharded weights of the root and of two blocks, one of them fetched ahead, and one block's gradient;
            of an image classifier all weights and gradients. Under ddp nothing.
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
    def states(self) -> float:
        """What a device holds between steps."""
        return self.weights + self.gradients + self.moments

    @property
    def total(self) -> float:
        """All parts."""
        total: float = sum(vars(self).values())
        return total


def memory(recipe: Recipe, machine: Machine, micro_batch: int) -> Memory:
    """Memory on each device of ``machine`` with ``micro_batch`` sequences or images at a time."""
    width = bytes_per_number(recipe, machine)
    weights, gradients, optimizer = _states(recipe, machine)
    gathered = _gathered(recipe, machine, width) / GB
    if isinstance(recipe, ImageRecipe):
        kept = micro_batch * activations_per_image(recipe, width) / GB
        return Memory(weights, gradients, optimizer, gathered, kept, 0.0)
    assert isinstance(recipe, LanguageRecipe)
    tokens = micro_batch * recipe.data.context
    kept = tokens * activations_per_token(recipe.model, width) / GB
    return Memory(weights, gradients, optimizer, gathered, kept, _loss(recipe.model, tokens, width) / GB)


def _states(recipe: Recipe, machine: Machine) -> tuple[float, float, float]:
    """GB of weights, gradients and moments on each device."""
    ddp, alone_on_cpu = recipe.layout.strategy == "ddp", machine.accelerator == "cpu" and machine.world_size == 1
    held = 4 * count(recipe.model).total / (1 if ddp else machine.world_size) / GB
    return copies(recipe) * held, (2 if ddp and not alone_on_cpu else 1) * held, moments(recipe) * held


def copies(recipe: Recipe) -> int:
    """Of each weight: the trained one and, where there is one, its average."""
    return 2 if isinstance(recipe, ImageRecipe) and recipe.optim.ema else 1


def moments(recipe: Recipe) -> int:
    """Numbers that the optimizer keeps for each weight: SGD's momentum, or two."""
    return 1 if isinstance(recipe, ImageRecipe) and recipe.optim.optimizer == "sgd" else 2


def activations_per_image(recipe: ImageRecipe, width: int) -> int:
    """Bytes that autograd keeps for one image, with ``width`` bytes a number.

    In a ResNet each convolution's output for its norm, and at each site of an activation ``kept`` tensors of that size
    (the table; ReLU's after additions included); the image in the compute type, and what the stem's pooling found and
    where.
    """
    model, image = recipe.model, 3 * recipe.data.size**2
    if isinstance(model, MLPModel):
        return width * (image + model.n_layers * rows()[model.activation].kept * model.width)
    assert isinstance(model, ResNet)
    return resnet.activations(model, recipe.data.size, width) + width * image


def bytes_per_number(recipe: Recipe, machine: Machine) -> int:
    """Of what is computed: 2 in bfloat16, 4 in float32, which is all that a CPU computes in."""
    return 2 if machine.accelerator == "cuda" and recipe.precision == "bf16" else 4


def activations_per_token(model: TextModel, width: int) -> int:
    """Bytes that autograd keeps for one token, with ``width`` bytes a number.

    Each norm keeps its input in float32, its value before and after the scale: ``(4 + 2 width) d_model``. Attention
    keeps q, k, v and its output: ``4 width d_model``; their input is the norm's. The FFN keeps ``kept`` tensors of its
    own width (the table of activations). The last norm is one more; its output waits twice for the chunked loss.

    A mixture keeps for each of a token's experts what an FFN does, its input, its output and four numbers of the
    routing; the router keeps its input, logits and probabilities in float32. The norms before the router, of queries
    and of keys need not keep their values after the scale: a copy goes on.
    """
    if isinstance(model, RNNModel):
        return recurrent.activations_per_token(model, width)
    assert isinstance(model, Model)
    scaled = width * model.d_model
    norm = (4 + width) * model.d_model + scaled
    ffn = rows()[model.activation].kept * width * ffn_width(model)
    layer = 2 * norm + 4 * scaled + ffn
    if isinstance(model, MoEModel):
        router = 4 * model.d_model + 2 * 4 * model.experts
        norms = norm + (1 + 2 * model.qk_norm) * (norm - scaled)
        layer = norms + 4 * scaled + router + model.top_k * (ffn + 2 * scaled + 3 * 8 + 4)
    return model.n_layers * layer + norm + scaled


def _gathered(recipe: Recipe, machine: Machine, width: int) -> int:
    """FSDP2's unsharded weights, and a gradient in the compute type with its float32 copy to reduce.

    A ResNet is one unit, gathered whole and in float32, from which autocast makes what it computes with; an MLP, of
    units smaller than that, is counted alike.
    """
    model = recipe.model
    if machine.accelerator == "cpu" or recipe.layout.strategy == "ddp":
        return 0
    if not isinstance(model, TextModel):
        return 2 * 4 * count(model).total
    block = parameters.block(model) if isinstance(model, Model) else 2 * model.d_model**2
    root = 2 * model.vocab_size * model.d_model
    return width * (2 * block + root) + (width + 4) * block


def _loss(model: TextModel, tokens: int, width: int) -> int:
    """A chunk's logits, log-probabilities and error (12 bytes a logit in bfloat16, 8 in float32), and the head's
    gradient, summed in float32.
    """
    logits = min(LOGITS_PER_CHUNK, tokens * model.vocab_size)
    head = model.vocab_size * model.d_model
    return (12 if width == 2 else 8) * logits + (4 + width if width == 2 else 4) * head
