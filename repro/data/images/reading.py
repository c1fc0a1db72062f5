"""From the numbers of a micro-batch to its pixels, in a loader's worker or in the training process."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from repro.data.images.augment import TestView, TrainView
from repro.data.images.draws import draws
from repro.data.images.order import PADDING, Numbers
from repro.data.images.pictures import Pictures, Unreadable


class Batch(NamedTuple):
    """What is read for the numbers of a micro-batch."""

    images: Tensor  # uint8 (batch, 3, size, size)
    labels: Tensor  # int64 (batch,)
    present: Tensor  # bool (batch,); False where the image is padding or could not be read
    unreadable: list[tuple[int, str]]  # numbers of images, and why


class TrainImages(Dataset[Batch]):
    """Augmented training images. In the place of an unreadable one stands the next that can be read.

    Args:
        pictures: the split.
        view: the augmentation.
        seed: of the augmentation.
        tries: images that are tried for one place before it stays blank.
    """

    def __init__(self, pictures: Pictures, view: TrainView, *, seed: int, tries: int) -> None:
        self.pictures, self.view, self.seed, self.tries = pictures, view, seed, tries

    def __getitems__(self, numbers: Numbers) -> Batch:
        """The micro-batch of ``numbers``, a function of them and the seed alone."""
        batch = _blank(len(numbers.indices), self.view.size)
        for place, index in enumerate(numbers.indices.tolist()):
            view = partial(self.view, rng=draws("augment", self.seed, numbers.epoch, index))
            candidates = ((index + further) % len(self.pictures) for further in range(self.tries))
            any(_put(batch, place, self.pictures, candidate, view) for candidate in candidates)
        return batch


class ValidationImages(Dataset[Batch]):
    """Validation images; an unreadable one is blank and not ``present``: another would count twice."""

    def __init__(self, pictures: Pictures, view: TestView) -> None:
        self.pictures, self.view = pictures, view

    def __getitems__(self, numbers: Numbers) -> Batch:
        """The micro-batch of ``numbers``."""
        batch = _blank(len(numbers.indices), self.view.size)
        for place, index in enumerate(numbers.indices.tolist()):
            if index != PADDING:
                _put(batch, place, self.pictures, index, self.view)
        return batch


def _blank(n: int, size: int) -> Batch:
    images = torch.zeros(n, 3, size, size, dtype=torch.uint8)
    return Batch(images, torch.zeros(n, dtype=torch.int64), torch.zeros(n, dtype=torch.bool), [])


def _put(batch: Batch, place: int, pictures: Pictures, index: int, view: Callable[[Tensor], Tensor]) -> bool:
    """Whether image ``index`` could be read; if so, it now stands in its place."""
    try:
        image = pictures[index]
    except Unreadable as why:
        batch.unreadable.append((index, str(why)))
        return False
    batch.images[place] = view(image)
    batch.labels[place] = int(pictures.labels[index])
    batch.present[place] = True
    return True
