"""What an image looks like when it is trained on, and when it is tested. uint8 in, uint8 out.

Parameters are drawn from a generator that is passed in, so that they are a function of (seed, epoch, index) alone.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from repro.data.images.randaugment import randaugment
from repro.recipe.images import Crop, Interpolation

SCALE = (0.08, 1.0)  # of the image's area; this and the ratio as in torchvision and timm
RATIO = (3 / 4, 4 / 3)  # width to height
PADDING = 4  # pixels; He et al. 2016, section 4.2
LINEAR, CUBIC = InterpolationMode.BILINEAR, InterpolationMode.BICUBIC


@dataclass(frozen=True)
class TrainView:
    """A crop of ``size`` pixels a side, then perhaps a flip, then perhaps two random operations."""

    size: int
    crop: Crop
    flip: bool
    randaugment: int  # magnitude; 0 is off
    interpolation: Interpolation = "bilinear"

    def __call__(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        """``(3, height, width)`` to ``(3, size, size)``."""
        view = CROPS[self.crop](image, self.size, rng, self.interpolation)
        if self.flip and rng.random() < 0.5:
            view = view.flip(-1)
        return randaugment(view, self.randaugment, rng) if self.randaugment else view


@dataclass(frozen=True)
class TestView:
    """The middle of ``size`` pixels a side, after the shorter side was brought to ``resize`` pixels.

    Nothing is drawn: what is interpolated at ``random`` in training is interpolated cubically here, as in timm.
    """

    __test__ = False  # no test of pytest's, whatever its name

    size: int
    resize: int
    interpolation: Interpolation = "bilinear"

    def __call__(self, image: Tensor) -> Tensor:
        """``(3, height, width)`` to ``(3, size, size)``."""
        if min(image.shape[1:]) != self.resize:
            mode = CUBIC if self.interpolation == "random" else LINEAR
            image = F.resize(image, [self.resize], mode, antialias=True)
        middle: Tensor = F.center_crop(image, [self.size])
        return middle


def random_resized_crop(
    image: Tensor, size: int, rng: np.random.Generator, interpolation: Interpolation = "bilinear"
) -> Tensor:
    """A random part of ``image``, brought to ``size`` pixels a side."""
    top, left, height, width = _part(image.shape[1], image.shape[2], rng)
    mode = CUBIC if interpolation == "random" and rng.random() < 0.5 else LINEAR
    resized: Tensor = F.resized_crop(image, top, left, height, width, [size, size], mode, antialias=True)
    return resized


def _part(height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, height, width: an area of ``SCALE`` and, log-uniformly, of ``RATIO`` (Szegedy et al. 2014).

    Tried ten times, as torchvision does; if none fits in the image, its middle with the nearest allowed ratio.
    """
    for _ in range(10):
        area = height * width * rng.uniform(*SCALE)
        ratio = math.exp(rng.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    w, h = min(width, max(1, round(height * RATIO[1]))), min(height, max(1, round(width / RATIO[0])))
    return (height - h) // 2, (width - w) // 2, h, w


def padded_crop(
    image: Tensor, size: int, rng: np.random.Generator, interpolation: Interpolation = "bilinear"
) -> Tensor:
    """``image``, brought to ``size`` if it is of another, moved by up to four pixels each way; black where it left."""
    image = sized(image, size, rng, interpolation)
    top, left = rng.integers(2 * PADDING + 1, size=2)
    moved: Tensor = F.crop(image, int(top) - PADDING, int(left) - PADDING, size, size)
    return moved


def sized(image: Tensor, size: int, rng: np.random.Generator, interpolation: Interpolation = "bilinear") -> Tensor:
    """``image``, or the middle of it brought to ``size`` if it is of another; nothing is drawn."""
    return image if image.shape[1:] == (size, size) else TestView(size, size, interpolation)(image)


CROPS: dict[Crop, Callable[[Tensor, int, np.random.Generator, Interpolation], Tensor]] = {
    "random-resized": random_resized_crop,
    "padded": padded_crop,
    "none": sized,
}
