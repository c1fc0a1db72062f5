"""Folders of class folders, as torchvision's ImageFolder and ImageNet lay them out."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from repro.data.images.decode import decode, read
from repro.data.images.pictures import ImageSet, listing
from repro.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
VALIDATION_FOLDERS = ("val", "validation", "test")  # the first of them that there is
HELD_OUT = 10  # one image in so many, of each class


class Folder:
    """The images of a split in class folders; ``files`` are names below ``root``.

    Names are kept as one array of bytes, since a million Python strings would be copied into every worker.
    """

    def __init__(self, root: Path, files: Sequence[str], labels: Sequence[int]) -> None:
        self.root = root
        self.files: NDArray[np.bytes_] = np.array([os.fsencode(file) for file in files])
        self.labels = np.array(labels, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        return decode(read(self.root / self.name(index)))

    def name(self, index: int) -> str:
        """The file's name below the root."""
        return os.fsdecode(self.files[index])


def folder(root: Path) -> ImageSet:
    """A folder with ``train`` and one of ``val``, ``validation`` and ``test`` below it, or with the classes themselves.

    Of the latter a tenth of each class is held out for validation: the files whose names have the smallest sha256.

    Raises:
        DataError: it is no folder, has no classes, or the two splits have different ones.
    """
    _check(root)
    train = root / "train"
    if not _folders(train):
        return _held_out(root, _classes(root))
    validation = next((root / name for name in VALIDATION_FOLDERS if (root / name).is_dir()), None)
    if validation is None:
        raise DataError(
            f"{root} has a folder train and none called {', '.join(VALIDATION_FOLDERS)}: add one, or "
            f"give data.path={train} to hold out a tenth of it"
        )
    return _two_splits(root, train, validation)


def imagenet(root: Path) -> ImageSet:
    """ILSVRC2012 as torchvision unpacks it: ``train/<wnid>/*.JPEG`` and ``val/<wnid>/*.JPEG``.

    Raises:
        DataError: it is not laid out so.
    """
    _check(root)
    for split in ("train", "val"):
        if not _folders(root / split):
            raise DataError(
                f"{root / split} has no class folders: expected ImageNet's, such as n01440764, as "
                f"torchvision.datasets.ImageNet({str(root)!r}, {split!r}) unpacks them from the original archives"
            )
    return _two_splits(root, root / "train", root / "val")


@dataclass(frozen=True)
class _Classes:
    """The image files of each class, by class folder, all in alphabetical order; files are named below the class."""

    root: Path
    files: dict[str, list[str]]

    def split(self, root: Path) -> Folder:
        """All of them, with names below ``root``."""
        above = self.root.relative_to(root)
        names = [str(above / name / file) for name, files in self.files.items() for file in files]
        return Folder(root, names, list(chain(*([k] * len(files) for k, files in enumerate(self.files.values())))))


def images_below(root: Path) -> Iterator[str]:
    """Image files at any depth below ``root``, by their suffix and named below it; hidden ones are left out.

    Raises:
        DataError: a folder may not be read.
    """
    for place, below, files in os.walk(root, followlinks=True, onerror=_refuse):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for file in sorted(files):
            if file.lower().endswith(SUFFIXES) and not file.startswith("."):
                yield os.path.relpath(os.path.join(place, file), root)  # noqa: PTH118 (a million of them)


def _two_splits(root: Path, train: Path, validation: Path) -> ImageSet:
    seen, unseen = _classes(train), _classes(validation)
    for name in sorted(seen.files.keys() ^ unseen.files.keys()):
        has, lacks = (train, validation) if name in seen.files else (validation, train)
        raise DataError(f"{has} has a class {name!r} and {lacks} has not: expected the same class folders in both")
    return _image_set(root, tuple(seen.files), seen.split(root), unseen.split(root))


def _held_out(root: Path, classes: _Classes) -> ImageSet:
    train: dict[str, list[str]] = {}
    validation: dict[str, list[str]] = {}
    for name, files in classes.files.items():
        if len(files) < 2:
            raise DataError(f"{root / name} holds one image: expected two or more, one of them to validate with")
        order = sorted(files, key=lambda file: hashlib.sha256(os.fsencode(file)).digest())
        held_out = max(1, len(files) // HELD_OUT)
        validation[name], train[name] = sorted(order[:held_out]), sorted(order[held_out:])
    names = tuple(classes.files)
    return _image_set(root, names, _Classes(root, train).split(root), _Classes(root, validation).split(root))


def _image_set(root: Path, classes: tuple[str, ...], train: Folder, validation: Folder) -> ImageSet:
    return ImageSet(
        str(root), classes, train, validation, listing(map(os.fsencode, classes), train.files, validation.files)
    )


def _classes(root: Path) -> _Classes:
    """The class folders of ``root``.

    Raises:
        DataError: there are none, or one, or one is empty.
    """
    classes = {name: list(images_below(root / name)) for name in _folders(root)}
    if not any(classes.values()):
        raise DataError(
            f"{root} has no class folders with images: expected one folder a class, such as {root / 'cat' / '1.jpg'}"
        )
    for name, files in classes.items():
        if not files:
            raise DataError(f"the class folder {root / name} holds no images: expected files such as 1.jpg or 1.png")
    if len(classes) == 1:
        (name,) = classes
        meant = f"; is data.path={root / name} meant?" if _folders(root / name) else ""
        raise DataError(f"{root} has one class folder, {name}: expected two or more{meant}")
    return _Classes(root, classes)


def _folders(root: Path) -> list[str]:
    """The folders in ``root`` by name, none if it is not there."""
    if not root.is_dir():
        return []
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be read: {error.strerror}") from error


def _check(root: Path) -> None:
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise DataError(f"data.path={root} {what}: expected a folder of images")
