"""CIFAR-10: torchvision's copy, which it can download, or a folder of images."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.datasets import CIFAR10

from repro import paths
from repro.data.images.folder import folder
from repro.data.images.pictures import ImageSet, listing
from repro.errors import DataError


class Array:
    """Images that lie in memory as one array, uint8 of shape ``(images, height, width, 3)``."""

    def __init__(self, images: "np.typing.NDArray[np.uint8]", labels: list[int], of: str) -> None:
        self.images, self.of = torch.from_numpy(images), of  # a tensor goes to workers through shared memory
        self.labels = np.array(labels, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index].permute(2, 0, 1)

    def name(self, index: int) -> str:
        """The number of the image."""
        return f"image {index} of {self.of}"


def cifar10(path: Path | None) -> ImageSet:
    """CIFAR-10 from ``path``, a folder of class folders or of torchvision's files; downloaded when there is none.

    Raises:
        DataError: it cannot be downloaded, or the folder does not hold images.
    """
    if path is not None and not (path / CIFAR10.base_folder).is_dir():
        return folder(path)
    root = path or paths.prepared() / "cifar10"
    train, test = _torchvision(root, download=path is None)
    splits = Array(train.data, train.targets, "train"), Array(test.data, test.targets, "test")
    classes = tuple(train.classes)
    contents = listing((name.encode() for name in classes), train.data, test.data)
    return ImageSet(str(root / CIFAR10.base_folder), classes, *splits, contents)


def _torchvision(root: Path, *, download: bool) -> tuple[CIFAR10, CIFAR10]:
    try:
        with _one_at_a_time(root) if download else contextlib.nullcontext():
            return CIFAR10(root, train=True, download=download), CIFAR10(root, train=False, download=download)
    except (OSError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        if not download:
            raise DataError(f"{root / CIFAR10.base_folder} is not CIFAR-10: {why}") from error
        raise DataError(
            f"CIFAR-10 cannot be downloaded to {root}: {why}; give data.path=FOLDER, with class folders in "
            f"FOLDER/train and FOLDER/test or torchvision's {CIFAR10.base_folder} in it"
        ) from error


@contextlib.contextmanager
def _one_at_a_time(root: Path) -> Iterator[None]:
    """Let one process download while the others wait."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
