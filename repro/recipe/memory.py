"""Memory of a training step on one device, by part, at the moment when it is most.

Under ``layout.strategy=fsdp2`` devices share out float32 weights, their gradients and the optimizer's moments, and a
GPU computes in bfloat16 on one gathered block at a time. Under ``ddp`` each device holds all of them. One CPU does too,
and computes in float32. What allocators round up and libraries hold is not counted: :mod:`repro.recipe.plan` fills only
part of a device. torch's memory trackers find the same (:mod:`repro.training.dry_run`), but for activations that learn
and have no fused operator: what their backward pass computes with is not counted here either.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from repro.recipe import parameters, recurrent, resnet
from repro.recipe.controls import MLPModel, RNNModel
from repro.recipe.counting import count
from repro.recipe.families import MoEModel
from repro.recipe.images import ImageRecipe, ResNet
from repro.recipe.parameters import ffn_matrices, ffn_width
from repro.recipe.schema import LanguageRecipe, Machine, Model, Recipe, TextModel
from repro.recipe.table import rows

if TYPE_CHECKING:
    from repro.recipe.layout import Fit

GB = 1e9
LOGITS_PER_CHUNK = 2**25  # of repro.models.loss


@dataclass(frozen=True)
class Memory:
    """GB (10^9 bytes) on one device.

    Attributes:
        weights: float32.
        gradients: float32, of a step's earlier micro-batches: a device's share of them, or all where they wait to be
            summed; where the backward pass ends, this one's. Under ddp in the buckets that ranks average, and in a step
            of several micro-batches beside them.
        moments: AdamW's and LAMB's two or SGD's one, float32.
        gathered: unsharded weights, and gradients on their way to the devices that share them. Under ddp nothing.
        activations: what autograd keeps from the forward pass, with the gradients of the last of it.
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


def memory(recipe: Recipe, machine: Machine, layout: "Fit") -> Memory:
    """Memory on each device of ``machine`` that trains by ``layout``, at the moment of a step when it is most."""
    alone = machine.one_processor
    replicated = recipe.layout.strategy == "ddp" and not alone
    held = 4 * count(recipe.model).total / layout.shard / GB
    earlier = _earlier(recipe, layout, replicated=replicated)
    found = [
        Memory(
            copies(recipe) * held,
            held if moment.last and not replicated else earlier,
            moments(recipe) * held,
            0.0 if alone or replicated else moment.gathered / GB,
            moment.activations / GB,
            moment.loss / GB,
        )
        for moment in _step(recipe, layout, bytes_per_number(recipe, machine))
    ]
    return max(found, key=lambda each: each.total)


def _earlier(recipe: Recipe, layout: "Fit", *, replicated: bool) -> float:
    """GB of gradients that are there before a step's last backward pass."""
    whole = 4 * count(recipe.model).total / GB
    if replicated:
        return whole * min(layout.accumulation, 2)
    if layout.accumulation == 1:
        return 0.0
    return whole / layout.shard if layout.reduce_each else whole


class _Moment(NamedTuple):
    """Bytes at a moment of a step; what is gathered is so where devices share the model out."""

    gathered: int
    activations: int
    loss: int = 0
    last: bool = False  # so that a device's gradients are there


def _step(recipe: Recipe, layout: "Fit", width: int) -> Iterator[_Moment]:
    """Moments from the end of the forward pass to that of the backward pass, one of which is the fullest."""
    if isinstance(recipe, LanguageRecipe):
        tokens = layout.micro_batch * recipe.data.context
        mask = width * tokens * recipe.data.context if recipe.data.document_mask else 0
        text = _Text(recipe.model, layout, tokens, width, mask)
        yield from (text.at_the_loss(), text.at_the_norm(), text.in_the_last_block(), text.sending_it())
        yield from (text.in_the_block_before(), text.sending_the_root())
        return
    assert isinstance(recipe, ImageRecipe)
    # One unit, in float32: its weights with the buffer that they came in, then its gradient with the copy that is sent.
    weights = count(recipe.model).total
    cast = width * weights if width == 2 else 0  # by autocast
    yield _Moment(2 * 4 * weights, layout.micro_batch * activations_per_image(recipe, width) + cast)
    yield _Moment(2 * 4 * weights, 0, last=True)


class _Text:
    """Bytes in a step of a language model, of ``tokens`` at a time and ``width`` a number, as FSDP2 shares it out;
    ``mask`` of them are what keeps attention within documents, which all blocks share.

    Its units are the root, whose weights stay gathered, and the blocks; activations that learn and routers are too
    small to count. What a unit's backward pass leaves is sent in float32, while that of the unit before it goes on.
    """

    def __init__(self, model: TextModel, layout: "Fit", tokens: int, width: int, mask: int) -> None:
        self.model, self.tokens, self.width, self.layout = model, tokens, width, layout
        self.head = model.vocab_size * model.d_model
        self.block = parameters.block(model) if isinstance(model, Model) else 2 * model.d_model**2
        self.after = (4 + 3 * width) * tokens * model.d_model  # what the last norm keeps, and its output for the loss
        blocks = tokens * activations_per_token(model, width) - self.after
        self.each = blocks // model.n_layers
        self.kept = mask + (tokens * model.n_layers * width * model.d_model if layout.recompute else blocks)
        waited = layout.accumulation > 1 and not layout.reduce_each
        self.gradient = 0 if waited else width  # bytes, until it is sent; those that waited are counted in any case
        self.sent = 0 if waited else 4

    def at_the_loss(self) -> _Moment:
        """With the buffer that the last weights came in, which FSDP2 keeps until others come."""
        small = isinstance(self.model, MoEModel) or rows()[self.model.activation].parameters > 0
        buffer = 0 if small or self.layout.shard == 1 else self.width * self.block
        return _Moment(self._gathered() + buffer, self.kept + self.after, _loss(self.model, self.tokens, self.width))

    def at_the_norm(self) -> _Moment:
        """The last one, whose gradients are in float32."""
        gradients = 3 * 4 * self.tokens * self.model.d_model
        return _Moment(self._gathered(), self.kept + self.after + gradients, 2 * self.width * self.head)

    def in_the_last_block(self) -> _Moment:
        """Computed again, or as the forward pass left it."""
        return _Moment(self._gathered(blocks=1), self.kept + self._worked(), self.width * self.head)

    def sending_it(self) -> _Moment:
        """Its gradient and the copy in float32; its weights and activations are gone."""
        sending = (self.gradient + 4) * self.block
        return _Moment(self._gathered(blocks=1, gone=1) + sending, self._before(), self.width * self.head)

    def in_the_block_before(self) -> _Moment:
        """While that is sent and the next block fetched."""
        gathered = self._gathered(blocks=min(2, self.model.n_layers - 1), gone=1) + self.sent * self.block
        return _Moment(gathered, self._before() + self._worked(), self.width * self.head)

    def sending_the_root(self) -> _Moment:
        """The last of all."""
        return _Moment(
            (4 + (self.gradient or 4)) * 2 * self.head, self.tokens * self.width * self.model.d_model, last=True
        )

    def _gathered(self, *, blocks: int = 0, gone: int = 0) -> int:
        """Weights of the root and of so many blocks; or, where they are not resharded, all but the blocks gone."""
        some, every = 2 * self.head + blocks * self.block, count(self.model).total - gone * self.block
        return self.width * (some if self.layout.reshard else every)

    def _before(self) -> int:
        """Activations of the blocks before the last, or where they are computed again all that is kept of them."""
        return self.kept if self.layout.recompute else self.kept - self.each

    def _worked(self) -> int:
        """Activations of a block that are computed again, and gradients of those of its FFN. In a mixture's weighted
        sum these are of each expert's output and its weight in float32, before one is rounded. And what the backward
        pass of an activation works with that torch's own operators compute.
        """
        model, experts = self.model, self.model.top_k if isinstance(self.model, MoEModel) else 1
        mixed = (2 * 4 + self.width) * experts if isinstance(model, MoEModel) else 0
        works = rows()[model.activation].works * experts * ffn_width(model) if isinstance(model, Model) else 0
        return self.layout.recompute * self.each + self.tokens * ((mixed or 6 * self.width) * model.d_model + works)


def checkpoint_gb(recipe: Recipe) -> float:
    """GB of a checkpoint: weights and moments in float32."""
    return 4 * (copies(recipe) + moments(recipe)) * count(recipe.model).total / GB


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
    own width (the table of activations) and, where its matrices are products, what goes from factor to factor. The last
    norm is one more; its output waits twice for the chunked loss.

    A mixture keeps for each of a token's experts what an FFN does, its input, its output and four numbers of the
    routing; the router keeps its input, logits and probabilities in float32. The norms before the router, of queries
    and of keys need not keep their values after the scale: a copy goes on.
    """
    if isinstance(model, RNNModel):
        return recurrent.activations_per_token(model, width)
    assert isinstance(model, Model)
    scaled = width * model.d_model
    norm = (4 + width) * model.d_model + scaled
    ffn = width * (rows()[model.activation].kept * ffn_width(model) + ffn_matrices(model) * (model.ffn_rank or 0))
    layer = 2 * norm + 4 * scaled + ffn
    if isinstance(model, MoEModel):
        router = 4 * model.d_model + 2 * 4 * model.experts
        norms = norm + (1 + 2 * model.qk_norm) * (norm - scaled)
        layer = norms + 4 * scaled + router + model.top_k * (ffn + 2 * scaled + 3 * 8 + 4)
    return model.n_layers * layer + norm + scaled


def _loss(model: TextModel, tokens: int, width: int) -> int:
    """A chunk's logits and log-probabilities in float32, with what is there of the chunk before until its errors are
    replaced, and the head's gradient, summed in float32; or that with what the chunk adds to it.
    """
    logits, head = min(LOGITS_PER_CHUNK, tokens * model.vocab_size), model.vocab_size * model.d_model
    left = (4 + width if width == 2 else 4) * logits
    before = left if tokens * model.vocab_size > LOGITS_PER_CHUNK else 0
    return max(8 * logits + before + 4 * head, left + (4 + width) * head)
