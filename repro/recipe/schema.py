"""What a recipe and a machine are made of.

A recipe is science: what is trained, on what, how far. A machine is hardware. How the one fits on the other
(micro-batch, accumulation) is worked out by :mod:`repro.recipe.plan` and is in neither.
"""

import abc
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from repro.recipe.lists import Words

# Our own byte-level BPE holds every byte and the end of a document; the paper's tokenizers have a fixed size.
SMALLEST_VOCABULARY = {"bpe": 257, "llama-2": 32_000, "olmo": 50_280, "own": 1}


class Section(BaseModel):
    """Frozen, without unknown keys, and strict: a bool is not an int, a string is not a number, nor is infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Architecture(Section):
    """What every model has: an activation, a row of the table."""

    activation: str


class TextModel(Architecture):
    """A model of tokens, of layers of one width."""

    vocab_size: PositiveInt
    d_model: PositiveInt
    n_layers: PositiveInt


class Model(TextModel):
    """A decoder of pre-norm blocks (section 4.1, Table 5)."""

    n_heads: PositiveInt
    d_ff: PositiveInt  # of a plain FFN; a gated one takes two thirds (Tables 5 and 6)
    ffn_rank: PositiveInt | None  # each FFN matrix is a product of two factors of this rank (ours); null: whole
    rope_theta: PositiveFloat
    norm_eps: PositiveFloat
    # small: N(0, 2 / (5 d_model)), output layers divided by sqrt(2 n_layers). truncated: N(0, 0.82 / d_model), which is
    # 0.02^2 at a d_model of 2048, within three deviations.
    init: Literal["small", "truncated"]

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.d_model % (2 * self.n_heads):
            raise ValueError(
                f"d_model={self.d_model} does not divide into n_heads={self.n_heads} heads of even width, "
                "as rotary positions need"
            )
        return self


class Repetition(Section):
    """Which windows count for nothing in training, as OLMo's instance filter has it."""

    period: Annotated[PositiveInt, Field(examples=[13])]  # tokens of what is repeated, at most
    times: Annotated[PositiveInt, Field(ge=2, examples=[32])]  # it stands in succession, at least


class Data(Section):
    """What is read: a corpus, its tokenizer and the length of a training sequence."""

    corpus: str
    tokenizer: Literal["bpe", "llama-2", "olmo", "own"]  # a BPE trained on the corpus, the paper's, or a file of yours
    context: PositiveInt  # tokens a sequence
    mixture: Annotated[dict[str, PositiveFloat], Field(min_length=1)] | None  # weights of subsets; null: all as it is
    repetition: Repetition | None
    document_mask: bool  # whether attention stays within a document
    workers: NonNegativeInt


class WeightDecay(Section):
    """Decay per kind of parameter. PolyCom coefficients never decay (official code), so they have no key."""

    matrices: NonNegativeFloat
    embeddings: NonNegativeFloat
    norms: NonNegativeFloat


Beta = Annotated[float, Field(ge=0, lt=1)]


class Guard(Section):
    """Which optimizer steps are skipped, and when the run stops rather than train into NaN."""

    spike: Annotated[PositiveFloat, Field(gt=1)]  # a gradient norm above this multiple of its running mean is skipped
    patience: NonNegativeInt  # skipped steps in a row before the run stops


class Optim(Section):
    """AdamW, with a linear warm-up and half a cosine to ``min_lr``."""

    lr: PositiveFloat
    min_lr: NonNegativeFloat
    warmup_tokens: NonNegativeInt
    betas: Annotated[tuple[Beta, Beta], Field(strict=False)]
    eps: PositiveFloat
    clip: PositiveFloat  # of the global norm
    weight_decay: WeightDecay
    rank_penalty: float  # times the mean log rank of FFN matrices, off the loss: above 0 raises it (ours)
    guard: Guard

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.min_lr > self.lr:
            raise ValueError(f"min_lr={self.min_lr:g} is above lr={self.lr:g}, where the cosine starts")
        return self


class Budget(Section):
    """How far to train. The global batch is science; how many devices share it is not."""

    tokens: PositiveInt
    tokens_per_step: PositiveInt


class Validation(Section):
    """Sets to compute the loss on, every so many steps: ``held-out``, the corpus's own, or prepared ones by name."""

    sets: Words = Field(min_length=1)
    every: PositiveInt  # steps
    tokens: PositiveInt  # of each set, of each of its subsets where it has any, spread evenly over it


class Evaluation(Section):
    """Downstream tasks, every so many steps and at the end; null: at the end."""

    tasks: Words
    every: PositiveInt | None  # steps


class Analysis(Section):
    """Ranks of weights, likeness of states and gradients, layer by layer, every so many steps and at the end."""

    every: PositiveInt | None  # steps; null: never, and not at the end


class Checkpoints(Section):
    """When to save, by steps and by time, and what to keep."""

    every: PositiveInt  # steps
    minutes: PositiveFloat
    keep: PositiveInt  # the newest so many
    milestones: PositiveInt | None  # and, for good, those of multiples of so many steps


class Layout(Section):
    """How a model lies on devices; changes no number but for rounding. What is null, ``repro plan`` works out."""

    strategy: Literal["fsdp2", "ddp"]  # shared out, gathered layer by layer as it is needed; or whole on each
    shard: PositiveInt | None  # devices that share out one copy of the model; others hold copies
    micro_batch: PositiveInt | None  # sequences or images at a time on each device
    recompute: bool | None  # a block's activations in the backward pass, instead of keeping them
    reshard: bool | None  # give weights back after a block's forward pass, and gather them again
    reduce_each: bool | None  # sum gradients over devices after each micro-batch, not once a step
    compile: bool  # each block by torch.compile, in place


Precision = Literal["bf16", "fp32"]  # of the matrix products on a GPU; a CPU computes in float32


class Recipe(Section, abc.ABC):
    """One run, whole: everything that decides its numbers except the seed. What all families have in common."""

    name: str
    family: str
    scale: str
    about: str
    paper_item: str | None = None  # the table or figure that this run belongs to
    shows: str  # what a result at this scale can and cannot show
    model: Architecture
    precision: Precision
    deterministic: bool  # on a GPU: only algorithms that give the same bits again, at some cost in speed
    layout: Layout
    checkpoints: Checkpoints
    analysis: Analysis
    # The file that set each value, by dotted key. Not part of what the recipe is.
    origin: dict[str, str] = Field(default_factory=dict, exclude=True, repr=False)

    @property
    @abc.abstractmethod
    def steps(self) -> int:
        """Optimizer steps in the budget."""

    @property
    @abc.abstractmethod
    def batch(self) -> int:
        """The global batch, in what devices share out: sequences or images."""

    @model_validator(mode="after")
    def _is_what_its_name_says(self) -> Self:
        if self.name != (spelled := f"{self.family}-{self.scale}-{self.model.activation}"):
            raise ValueError(f"name={self.name} does not spell family, scale and model.activation, which are {spelled}")
        return self


class LanguageRecipe(Recipe):
    """A language model on packed tokens."""

    model: TextModel
    data: Data
    optim: Optim
    budget: Budget
    validation: Validation
    evaluation: Evaluation

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        context, per_step = self.data.context, self.budget.tokens_per_step
        if per_step % context:
            raise ValueError(f"budget.tokens_per_step={per_step} is not a multiple of data.context={context}")
        if self.validation.tokens < context:
            raise ValueError(f"validation.tokens={self.validation.tokens} is less than one data.context={context}")
        if self.model.vocab_size < (smallest := SMALLEST_VOCABULARY[self.data.tokenizer]):
            raise ValueError(
                f"model.vocab_size={self.model.vocab_size} is below the {smallest} tokens of "
                f"data.tokenizer={self.data.tokenizer}"
            )
        return self

    @model_validator(mode="after")
    def _is_sharded(self) -> Self:
        if self.layout.strategy != "fsdp2":
            raise ValueError(
                f"layout.strategy={self.layout.strategy} is for images, whose classifiers compute in bfloat16 by "
                "autocast; language models do so by the policy of layout.strategy=fsdp2"
            )
        return self

    @property
    def sequences_per_step(self) -> int:
        """The global batch in sequences."""
        return self.budget.tokens_per_step // self.data.context

    @property
    def steps(self) -> int:
        """Optimizer steps in the budget, the last one whole."""
        return -(-self.budget.tokens // self.budget.tokens_per_step)

    @property
    def batch(self) -> int:
        """The global batch in sequences, which devices share."""
        return self.sequences_per_step


class DecoderRecipe(LanguageRecipe):
    """A language model that is a decoder."""

    model: Model


class Machine(Section):
    """Hardware only. ``peak_tflops`` is dense bf16 per device; ``expected_mfu`` is a guess until measured."""

    name: str
    about: str
    accelerator: Literal["cpu", "cuda"]
    device: str
    nodes: PositiveInt
    devices: PositiveInt  # a node
    memory_gb: PositiveFloat  # a device, 10^9 bytes
    link_gb_s: PositiveFloat  # that a device sends inside its node, while it receives as much
    network_gb_s: PositiveFloat | None = None  # that a node sends to others, all its network cards together
    bandwidth_gb_s: PositiveFloat  # of a device's memory
    peak_tflops: PositiveFloat
    expected_mfu: Annotated[PositiveFloat, Field(le=1)]
    synchronous_grouped_mm: bool = False  # whether torch loops over the experts of a grouped product on the host
    source: str

    @model_validator(mode="after")
    def _is_connected(self) -> Self:
        if self.nodes > 1 and self.network_gb_s is None:
            raise ValueError(f"nodes is {self.nodes} and network_gb_s is missing; expected the GB/s that a node sends")
        return self

    @property
    def world_size(self) -> int:
        """Processes, one a device."""
        return self.nodes * self.devices

    @property
    def one_processor(self) -> bool:
        """Whether it is a single CPU process, which trains the bare model."""
        return self.accelerator == "cpu" and self.world_size == 1
