"""RandAugment (Cubuk et al. 2019): two operations at random, all of one magnitude.

Torchvision's operations and ranges, with parameters from a generator that is passed in; torchvision's own transform
draws from the process's generator, which would tie an image to the worker that reads it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor
from torchvision.transforms.v2 import functional as F

STRONGEST = 10  # magnitude; timm's scale, and that of the paper's code. Torchvision's of 31 bins ends at 30
OPERATIONS = 2

Operation = Callable[[Tensor, float], Tensor]  # the second is the strength, 0 to 1, with a sign where one is drawn


def randaugment(image: Tensor, magnitude: int, rng: np.random.Generator) -> Tensor:
    """``image``, uint8 ``(3, height, width)``, after two operations of ``magnitude`` out of 10."""
    for chosen in rng.integers(len(_TABLE), size=OPERATIONS):
        operation, signed = list(_TABLE.values())[chosen]
        sign = -1 if signed and rng.random() < 0.5 else 1
        image = operation(image, sign * magnitude / STRONGEST)
    return image


def _affine(image: Tensor, **changes: Any) -> Tensor:
    nothing = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    moved: Tensor = F.affine(image, **(nothing | changes))
    return moved


def _slant(strength: float) -> float:
    """In degrees; the strongest slant moves a row by 0.3 of its distance."""
    return float(np.degrees(np.arctan(0.3 * strength)))


def _shift(side: int, strength: float) -> int:
    return int(150 / 331 * side * strength)


_TABLE: dict[str, tuple[Operation, bool]] = {  # the operation, and whether it goes both ways
    "Identity": (lambda x, s: x, False),
    "ShearX": (lambda x, s: _affine(x, shear=[_slant(s), 0.0], center=[0, 0]), True),
    "ShearY": (lambda x, s: _affine(x, shear=[0.0, _slant(s)], center=[0, 0]), True),
    "TranslateX": (lambda x, s: _affine(x, translate=[_shift(x.shape[2], s), 0]), True),
    "TranslateY": (lambda x, s: _affine(x, translate=[0, _shift(x.shape[1], s)]), True),
    "Rotate": (lambda x, s: F.rotate(x, 30 * s), True),
    "Brightness": (lambda x, s: F.adjust_brightness(x, 1 + 0.9 * s), True),
    "Color": (lambda x, s: F.adjust_saturation(x, 1 + 0.9 * s), True),
    "Contrast": (lambda x, s: F.adjust_contrast(x, 1 + 0.9 * s), True),
    "Sharpness": (lambda x, s: F.adjust_sharpness(x, 1 + 0.9 * s), True),
    "Posterize": (lambda x, s: F.posterize(x, 8 - round(4 * s)), False),
    "Solarize": (lambda x, s: F.solarize(x, 255 * (1 - s)), False),
    "AutoContrast": (lambda x, s: F.autocontrast(x), False),
    "Equalize": (lambda x, s: F.equalize(x), False),
}
