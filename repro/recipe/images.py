"""What a recipe of an image classifier is made of."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from repro.recipe.schema import Architecture, Guard, Recipe, Section

Share = Annotated[float, Field(ge=0, le=1)]

# A training image's part: ImageNet's random one, CIFAR's shift by up to four pixels, or none: only brought to its size.
Crop = Literal["random-resized", "padded", "none"]


# How an image is brought to its size. random: bilinear or bicubic by a coin, and in tests bicubic, as timm.
Interpolation = Literal["bilinear", "random"]


class ImageModel(Architecture):
    """A classifier."""

    classes: Annotated[int, Field(ge=2)]


class ResNet(ImageModel):
    """A ResNet of bottleneck blocks with a swappable activation; ResNet-50 is ``blocks=[3, 4, 6, 3]``, ``width=64``."""

    blocks: Annotated[tuple[PositiveInt, ...], Field(strict=False, min_length=1)]  # of each stage
    width: PositiveInt  # channels of the first stage's bottlenecks; each stage doubles them
    stem: Literal["imagenet", "cifar"]  # 7 x 7 with stride 2 and a pooling, or 3 x 3
    sites: Literal["all", "inner"]  # where the activation stands; inner leaves ReLU after the additions
    norm_axes: Literal["channel", "width", "chw", "hw"]  # what PolyNorm normalises over
    zero_init_residual: bool  # the last norm of each block starts at 0, so that a block starts as the identity


class Images(Section):
    """What is read, and what is done to it before it is seen."""

    source: Literal["glyphs", "cifar10", "folder", "imagenet", "parquet"]
    path: str | None  # of the user's copy; glyphs need none, cifar10 and parquet can be fetched without one
    images: PositiveInt  # in training, which an epoch goes through; what is there is held to it
    size: PositiveInt  # pixels a side, in training
    test_size: PositiveInt
    test_resize: PositiveInt  # of the shorter side, before the middle is cut out
    crop: Crop
    interpolation: Interpolation
    flip: bool
    randaugment: Annotated[int, Field(ge=0, le=10)]  # mean magnitude of up to two operations an image; 0 is off
    mixup: NonNegativeFloat  # parameter of the beta distribution; 0 is off
    cutmix: NonNegativeFloat
    unreadable: Share  # of images that may be unreadable before it is an error
    workers: NonNegativeInt


class ImageOptim(Section):
    """SGD, LAMB or AdamW with a linear warm-up, then a cosine to nothing or steps down by ten."""

    optimizer: Literal["sgd", "lamb", "adamw"]
    lr: PositiveFloat
    momentum: Annotated[float, Field(ge=0, lt=1)]  # the first beta of LAMB and AdamW
    weight_decay: NonNegativeFloat  # of convolutions and the classifier; neither norms nor coefficients decay
    schedule: Literal["cosine", "step"]
    warmup_epochs: NonNegativeInt
    clip: PositiveFloat | None  # of the global norm
    loss: Literal["cross-entropy", "binary"]  # binary: one yes or no a class, as timm's A3
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    ema: Annotated[float, Field(ge=0, lt=1)]  # decay a step of the averaged weights that are evaluated; 0 is off
    guard: Guard


class ImageBudget(Section):
    """How far to train."""

    epochs: PositiveInt
    samples_per_step: PositiveInt


class ImageValidation(Section):
    """When to classify the validation images."""

    every: PositiveInt  # epochs


class ImageRecipe(Recipe):
    """A classifier of images."""

    model: ImageModel
    data: Images
    optim: ImageOptim
    budget: ImageBudget
    validation: ImageValidation

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.data.test_size > self.data.test_resize:
            raise ValueError(
                f"data.test_size={self.data.test_size} is above data.test_resize={self.data.test_resize}, "
                "from the middle of which it is cut"
            )
        if self.budget.samples_per_step > self.data.images:
            raise ValueError(
                f"budget.samples_per_step={self.budget.samples_per_step} is more than data.images={self.data.images}"
            )
        return self

    @model_validator(mode="after")
    def _warms_up_in_time(self) -> Self:
        if self.optim.warmup_epochs > self.budget.epochs:
            raise ValueError(
                f"optim.warmup_epochs={self.optim.warmup_epochs} is more than budget.epochs={self.budget.epochs}"
            )
        return self

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps that go through the training images once; what is left over waits for the next epoch."""
        return self.data.images // self.budget.samples_per_step

    @property
    def steps(self) -> int:
        """Optimizer steps in the budget."""
        return self.budget.epochs * self.steps_per_epoch

    @property
    def batch(self) -> int:
        """The global batch in images."""
        return self.budget.samples_per_step


class ResNetRecipe(ImageRecipe):
    """A ResNet."""

    family: Literal["resnet50"]
    model: ResNet
