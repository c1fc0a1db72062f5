"""ResNets of bottleneck blocks: torchvision's, except that each activation site is a module of its own.

Convolutions and norms have torchvision's names, so that its weights load; the activations are called ``act1`` (after
the first convolution), and ``act1``, ``act2`` and ``act3`` (after the addition) in each block.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from repro.errors import RecipeError, nearest
from repro.models.sites import Activation, maker

if TYPE_CHECKING:
    from repro.recipe import images

Over = Callable[[nn.Module, Tensor], Tensor]

EXPANSION = 4  # channels of a block's output to those of its 3 x 3 convolution


class ResNet(nn.Module):
    """A ResNet of bottleneck blocks with the stride in the 3 x 3 convolution ("v1.5"), as torchvision's.

    Its initial weights are distributed as torchvision's by default: see :func:`kaiming`.

    Args:
        activation: a name of the table, or what makes a new module; never a module, whose coefficients all sites
            would share.
        blocks: how many of each stage; each stage but the first halves the image and doubles the channels.
        width: channels of the stem and of the first stage's bottlenecks.
        stem: ``imagenet``, 7 x 7 with stride 2 and a pooling, or ``cifar``, 3 x 3.
        classes: outputs.
        sites: ``all``, or ``inner``, which leaves ReLU after the additions.
        norm_axes: what an activation that normalises takes for a row: ``channel``, the channels of a pixel, which in
            channels-last memory are one without a copy; ``width``, a line of pixels of a channel, as the official
            README's class does when it is dropped into a convolutional network; ``chw``, the whole image; ``hw``, a
            channel of it. Others give the same values under each.
        zero_init_residual: whether the last norm of each block begins at 0, so that the block begins as the identity;
            timm's default, not torchvision's.

    Shape:
        ``(batch, 3, height, width)`` to logits ``(batch, classes)``.

    Raises:
        RecipeError: an option that there is not, a gated activation, or a module in place of what makes one.
    """

    def __init__(
        self,
        activation: Activation,
        *,
        blocks: Sequence[int] = (3, 4, 6, 3),
        width: int = 64,
        stem: Literal["imagenet", "cifar"] = "imagenet",
        classes: int = 1000,
        sites: Literal["all", "inner"] = "all",
        norm_axes: Literal["channel", "width", "chw", "hw"] = "channel",
        zero_init_residual: bool = False,
    ) -> None:
        super().__init__()
        _one_of("stem", stem, ("imagenet", "cifar"))
        _one_of("sites", sites, ("all", "inner"))
        _one_of("norm_axes", norm_axes, tuple(AXES))
        new, self.over = maker(activation), AXES[norm_axes]
        imagenet = stem == "imagenet"
        self.conv1 = Convolution(3, width, 7, stride=2) if imagenet else Convolution(3, width, 3)
        self.bn1, self.act1 = nn.BatchNorm2d(width), new()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if imagenet else nn.Identity()
        block = partial(
            Bottleneck,
            inner=new,
            outer=new if sites == "all" else nn.ReLU,
            last_norm=ZeroNorm if zero_init_residual else nn.BatchNorm2d,
            over=self.over,
        )
        features, self.stages = width, [f"layer{i}" for i in range(1, len(blocks) + 1)]
        for i, (name, depth) in enumerate(zip(self.stages, blocks, strict=True)):
            first = block(features, width=width * 2**i, stride=2 if i else 1)
            features = EXPANSION * width * 2**i
            others = (block(features, width=width * 2**i, stride=1) for _ in range(depth - 1))
            self.add_module(name, nn.Sequential(first, *others))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(batch, classes)`` of images ``(batch, 3, height, width)``."""
        x = self.maxpool(self.over(self.act1, self.bn1(self.conv1(x))))
        for stage in self.stages:
            x = self.get_submodule(stage)(x)
        y: Tensor = self.fc(self.avgpool(x).flatten(1))
        return y

    def activations(self) -> dict[str, nn.Module]:
        """The module at each site, by its name: 49 in a ResNet-50, ReLUs that ``sites`` leaves included."""
        blocks = {name: block for name, block in self.named_modules() if isinstance(block, Bottleneck)}
        inside = ((f"{name}.{act}", getattr(block, act)) for name, block in blocks.items() for act in Bottleneck.SITES)
        return {"act1": self.act1, **dict(inside)}


class Bottleneck(nn.Module):
    """A block: 1 x 1, 3 x 3 and 1 x 1 convolutions, each normalised, the last added to the input.

    Args:
        channels: of the input.
        width: channels of the 3 x 3 convolution; four times as many leave the block.
        stride: of the 3 x 3 convolution.
        inner: makes the activations after the first two norms.
        outer: makes the one after the addition.
        last_norm: makes the norm before the addition, of its number of channels.
        over: applies an activation to the axes that it is to see.

    Shape:
        ``(batch, channels, height, width)`` to ``(batch, 4 width, height / stride, width / stride)``.
    """

    SITES = ("act1", "act2", "act3")

    def __init__(
        self,
        channels: int,
        *,
        width: int,
        stride: int,
        inner: Callable[[], nn.Module],
        outer: Callable[[], nn.Module],
        last_norm: Callable[[int], nn.Module],
        over: Over,
    ) -> None:
        super().__init__()
        self.over, out = over, EXPANSION * width
        self.conv1, self.bn1, self.act1 = Convolution(channels, width, 1), nn.BatchNorm2d(width), inner()
        self.conv2, self.bn2, self.act2 = Convolution(width, width, 3, stride), nn.BatchNorm2d(width), inner()
        self.conv3, self.bn3, self.act3 = Convolution(width, out, 1), last_norm(out), outer()
        self.downsample: nn.Module = nn.Identity()
        if channels != out:  # the first block of a stage
            self.downsample = nn.Sequential(Convolution(channels, out, 1, stride), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        """The block's output for ``x``."""
        y = self.over(self.act1, self.bn1(self.conv1(x)))
        y = self.over(self.act2, self.bn2(self.conv2(y)))
        return self.over(self.act3, self.bn3(self.conv3(y)) + self.downsample(x))


class Convolution(nn.Conv2d):
    """A convolution of odd ``kernel`` without a bias, padded so that only ``stride`` changes the image's size."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)

    def reset_parameters(self) -> None:
        """As :func:`kaiming`."""
        kaiming(self.weight)


class ZeroNorm(nn.BatchNorm2d):
    """A batch norm whose weight begins at 0."""

    def reset_parameters(self) -> None:
        """Zeros; statistics as any batch norm's."""
        super().reset_parameters()
        nn.init.zeros_(self.weight)


def kaiming(weight: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Fill a convolution's weight from N(0, 2 / (outputs kernel^2)), as torchvision's ResNets begin."""
    return nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu", generator=generator)


def resnet50(
    activation: Activation,
    *,
    classes: int = 1000,
    sites: Literal["all", "inner"] = "all",
    norm_axes: Literal["channel", "width", "chw", "hw"] = "channel",
    zero_init_residual: bool = False,
) -> ResNet:
    """A ResNet-50 with ``activation`` at its 49 sites; the options are those of :class:`ResNet`.

    Raises:
        RecipeError: as :class:`ResNet`.
    """
    return ResNet(activation, classes=classes, sites=sites, norm_axes=norm_axes, zero_init_residual=zero_init_residual)


def classifier_from_recipe(model: "images.ResNet") -> ResNet:
    """The ResNet that a recipe's ``model`` section describes, on the current device."""
    return ResNet(**model.model_dump())


def _channel(activation: nn.Module, x: Tensor) -> Tensor:
    y: Tensor = activation(x.movedim(1, -1))
    return y.movedim(-1, 1)


def _width(activation: nn.Module, x: Tensor) -> Tensor:
    y: Tensor = activation(x)
    return y


def _chw(activation: nn.Module, x: Tensor) -> Tensor:
    pixels = x.movedim(1, -1)  # the order inside a row does not matter, and this one is that of channels-last memory
    rows: Tensor = activation(pixels.flatten(1))
    return rows.view(pixels.shape).movedim(-1, 1)


def _hw(activation: nn.Module, x: Tensor) -> Tensor:
    rows: Tensor = activation(x.flatten(2))
    return rows.view(x.shape)


# An activation sees its row as the last dimension; what each gives for x, (batch, channels, height, width), is like x.
AXES: dict[str, Over] = {"channel": _channel, "width": _width, "chw": _chw, "hw": _hw}


def _one_of(option: str, word: str, words: tuple[str, ...]) -> None:
    if word not in words:
        raise RecipeError(f"{option} must be one of {', '.join(words)}, got {word!r}.{nearest(str(word), words)}")
