"""Labelled images by number, and the two sets of them that a run needs."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from numpy import int64
from numpy.typing import NDArray
from torch import Tensor


class Unreadable(Exception):
    """An image that no decoder reads; the text says why."""


class Pictures(Protocol):
    """The images of one split, numbered from 0. It is sent to the loader's workers, so it holds no open files."""

    labels: NDArray[int64]  # the class of each, (images,)

    def __len__(self) -> int:
        """How many images."""

    def __getitem__(self, index: int) -> Tensor:
        """Image ``index`` as uint8 RGB, ``(3, height, width)``.

        Raises:
            Unreadable: it cannot be read or decoded.
        """

    def name(self, index: int) -> str:
        """What image ``index`` is called where it came from."""


@dataclass(frozen=True)
class ImageSet:
    """Training and validation images with the same classes, in the order of their labels."""

    name: str  # for people, such as "glyphs drawn by Pillow 12.0.0" or the folder
    classes: tuple[str, ...]
    train: Pictures
    validation: Pictures
    fingerprint: str  # of what there is: a run that resumes with another one is refused


def fingerprint(parts: Iterable[bytes]) -> str:
    """The first 16 digits of the sha256 of ``parts``, each with its length before it."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()[:16]


def listing(classes: Iterable[bytes], *arrays: NDArray[Any]) -> str:
    """The fingerprint of named classes and of arrays of names or labels."""
    return fingerprint([*classes, *(array.tobytes() for array in arrays)])
