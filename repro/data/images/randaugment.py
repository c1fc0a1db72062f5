"""RandAugment (Cubuk et al. 2019) as timm's ``rand-m6-mstd0.5-inc1``, with which its A3 trains, at any magnitude.

Pillow computes, as it does for timm, so that an operation gives the same pixels. Whatever is random is drawn from a
generator that is passed in; timm's own transform draws from the process's, which would tie an image to the worker that
reads it.
"""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from repro.data.images.mixing import MEAN

DRAWN = 2  # operations an image
APPLIED = 0.5  # probability of each that is drawn
DEVIATION = 0.5  # of a magnitude from the one asked for
STRONGEST = 10  # magnitude; none is drawn beyond it
OUTSIDE = tuple(round(255 * mean) for mean in MEAN)  # the colour of what comes in at the edges
RESAMPLING = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)

# The second argument is the strength, 0 to 1: the magnitude as a share of the strongest.
Operation = Callable[[Image.Image, float, np.random.Generator], Image.Image]


def randaugment(image: Tensor, magnitude: int, rng: np.random.Generator) -> Tensor:
    """``image``, uint8 ``(3, height, width)``, after two operations, each applied or not.

    One that is applied has a magnitude from N(``magnitude``, 0.5^2), between 0 and 10.
    """
    drawn = [operation for operation in rng.choice(list(OPERATIONS), DRAWN) if rng.random() < APPLIED]
    if not drawn:
        return image
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    for operation in drawn:
        strength = min(max(rng.normal(magnitude, DEVIATION), 0), STRONGEST) / STRONGEST
        picture = OPERATIONS[operation](picture, strength, rng)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


def _either(amount: float, rng: np.random.Generator) -> float:
    """``amount`` one way or the other."""
    return amount if rng.random() < 0.5 else -amount


def _enhanced(kind: Callable[[Image.Image], ImageEnhance._Enhance]) -> Operation:
    """More of it or less: a factor of 1 changes nothing."""
    return lambda picture, s, rng: kind(picture).enhance(max(0.1, 1 + _either(0.9 * s, rng)))


def _moved(picture: Image.Image, rng: np.random.Generator, *, x: float = 0, y: float = 0) -> Image.Image:
    """By so many pixels."""
    return _affine(picture, (1, 0, x, 0, 1, y), rng)


def _sheared(picture: Image.Image, rng: np.random.Generator, *, x: float = 0, y: float = 0) -> Image.Image:
    """By so many pixels a pixel, from the upper left corner."""
    return _affine(picture, (1, x, 0, y, 1, 0), rng)


def _affine(picture: Image.Image, matrix: tuple[float, ...], rng: np.random.Generator) -> Image.Image:
    resampling = RESAMPLING[rng.integers(2)]
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix, resampling, fillcolor=OUTSIDE)


def _rotated(picture: Image.Image, degrees: float, rng: np.random.Generator) -> Image.Image:
    return picture.rotate(degrees, RESAMPLING[rng.integers(2)], fillcolor=OUTSIDE)


def _posterised(picture: Image.Image, bits: int) -> Image.Image:
    """The upper ``bits`` of its values; Pillow's own does not take the 0 of the strongest, which is black."""
    return picture.point([value & -(1 << 8 - bits) for value in range(256)] * 3)


def _brightened(picture: Image.Image, amount: int) -> Image.Image:
    """Its darker half of values, by ``amount``."""
    return picture.point([min(255, value + amount) if value < 128 else value for value in range(256)] * 3)


OPERATIONS: dict[str, Operation] = {  # timm's, in its forms that grow with the magnitude
    "AutoContrast": lambda picture, s, rng: ImageOps.autocontrast(picture),
    "Equalize": lambda picture, s, rng: ImageOps.equalize(picture),
    "Invert": lambda picture, s, rng: ImageOps.invert(picture),
    "Rotate": lambda picture, s, rng: _rotated(picture, _either(30 * s, rng), rng),
    "Posterize": lambda picture, s, rng: _posterised(picture, 4 - int(4 * s)),
    "Solarize": lambda picture, s, rng: ImageOps.solarize(picture, 256 - int(256 * s)),
    "SolarizeAdd": lambda picture, s, rng: _brightened(picture, int(110 * s)),
    "Color": _enhanced(ImageEnhance.Color),
    "Contrast": _enhanced(ImageEnhance.Contrast),
    "Brightness": _enhanced(ImageEnhance.Brightness),
    "Sharpness": _enhanced(ImageEnhance.Sharpness),
    "ShearX": lambda picture, s, rng: _sheared(picture, rng, x=_either(0.3 * s, rng)),
    "ShearY": lambda picture, s, rng: _sheared(picture, rng, y=_either(0.3 * s, rng)),
    "TranslateX": lambda picture, s, rng: _moved(picture, rng, x=_either(0.45 * s, rng) * picture.width),
    "TranslateY": lambda picture, s, rng: _moved(picture, rng, y=_either(0.45 * s, rng) * picture.height),
}
