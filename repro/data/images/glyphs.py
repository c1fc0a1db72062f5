"""Letters and digits drawn with the TrueType font inside Pillow: a data set that every installation has.

There are 62 classes: digits, capitals, small letters. Image ``i`` of a split is of class ``i mod 62``, and its turn,
size, slant, place and colours are a function of (seed, split, i). A few pairs such as o and O differ in little but
their size, so that nobody reaches 100 %.
"""

import string
from collections.abc import Callable
from functools import cache
from typing import Literal

import numpy as np
import PIL
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, features
from torch import Tensor

from repro.data.images.draws import draws
from repro.data.images.pictures import ImageSet, fingerprint
from repro.errors import DataError

CLASSES = tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase)
SIDE = 32  # pixels
TRAIN_IMAGES = 100 * len(CLASSES)
VALIDATION_IMAGES = 20 * len(CLASSES)
_SEED = 0  # of the data set, whatever the run's
_CANVAS = 64  # pixels a side of a letter before it is turned: twice the image's, so that edges stay smooth


class Glyphs:
    """The first ``n`` glyphs of a split, each drawn when it is asked for, in about 0.1 ms."""

    def __init__(self, split: Literal["train", "validation"], n: int, seed: int = _SEED) -> None:
        self.split, self.seed = split, seed
        self.labels = np.arange(n) % len(CLASSES)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(self._pixels(index)).permute(2, 0, 1)

    def name(self, index: int) -> str:
        """The letter and its number."""
        return f"glyph {CLASSES[self.labels[index]]!r}, number {index} of {self.split}"

    def _pixels(self, index: int) -> NDArray[np.uint8]:
        """Image ``index``, ``(32, 32, 3)``."""
        draw = draws(f"glyphs {self.split}", self.seed, index).random
        letter = _upright(CLASSES[self.labels[index]])
        turned = letter.transform((SIDE, SIDE), Image.Transform.AFFINE, _affine(draw), Image.Resampling.BILINEAR)
        ink = np.asarray(turned, dtype=np.float32)[..., None] / 255
        paper, colour = _colours(draw)
        return (paper + ink * (colour - paper)).astype(np.uint8)


def glyphs() -> ImageSet:
    """6,200 glyphs to train on and 1,240 others to validate.

    Raises:
        DataError: Pillow was built without FreeType.
    """
    if not features.check("freetype2"):
        raise DataError(f"data.source=glyphs: Pillow {PIL.__version__} was built without FreeType and cannot draw them")
    train, validation = Glyphs("train", TRAIN_IMAGES), Glyphs("validation", VALIDATION_IMAGES)
    name = f"glyphs drawn by Pillow {PIL.__version__}"
    letters = (_upright(letter).tobytes() for letter in CLASSES)
    return ImageSet(name, CLASSES, train, validation, fingerprint([name.encode(), *letters]))


@cache
def _upright(letter: str) -> Image.Image:
    """White on black, in the middle of its line so that letters keep their height to each other."""
    image = Image.new("L", (_CANVAS, _CANVAS))
    font = ImageFont.load_default(size=_CANVAS * 0.72)
    ImageDraw.Draw(image).text((_CANVAS / 2, _CANVAS * 0.74), letter, fill=255, font=font, anchor="ms")
    return image


def _affine(draw: Callable[[], float]) -> tuple[float, ...]:
    """Pillow's six coefficients, from a pixel of the image to one of the canvas: ours."""
    angle, slant = np.radians(40 * draw() - 20), 0.5 * draw() - 0.25
    size = (_CANVAS / SIDE) / (0.85 + 0.3 * draw())
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = size * turn @ np.array([[1, slant], [0, 1]])
    shift = np.array([6 * draw() - 3, 6 * draw() - 3])
    offset = _CANVAS / 2 - matrix @ (SIDE / 2 + shift)
    return tuple(float(value) for value in (*matrix[0], offset[0], *matrix[1], offset[1]))


def _colours(draw: Callable[[], float]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Colours of paper and ink, whose brightness differs by at least 80 of 255, either way round."""
    contrast = 80 + 140 * draw()
    dark = (235 - contrast) * draw() + 10
    pair = [np.array([level + 20 * draw() - 10 for _ in range(3)], np.float32) for level in (dark, dark + contrast)]
    return (pair[0], pair[1]) if draw() < 0.5 else (pair[1], pair[0])
