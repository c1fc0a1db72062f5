"""The images that a recipe names, or one line that says how to get them."""

from pathlib import Path

from repro.data.images.cifar import cifar10
from repro.data.images.folder import folder, imagenet
from repro.data.images.glyphs import glyphs
from repro.data.images.pictures import ImageSet
from repro.errors import DataError
from repro.recipe.images import Images


def locate(images: Images, classes: int) -> ImageSet:
    """The set that ``images`` names, opened and checked against the model's number of classes.

    Args:
        images: a recipe's ``data`` section.
        classes: the model's.

    Raises:
        DataError: there is none, it is not laid out as it should be, or it has another number of classes.
    """
    opened = _open(images)
    if len(opened.classes) != classes:
        also = f" data.images={len(opened.train)}" if len(opened.train) != images.images else ""
        raise DataError(
            f"{opened.name} has {len(opened.classes)} classes and the recipe model.classes={classes}: "
            f"set model.classes={len(opened.classes)}{also}, or data.path to images of {classes} classes"
        )
    if len(opened.train) != images.images:
        raise DataError(
            f"{opened.name} has {len(opened.train):,} training images and the recipe data.images={images.images}, from "
            f"which epochs become steps: set data.images={len(opened.train)}"
        )
    return opened


def _open(images: Images) -> ImageSet:
    path = Path(images.path).expanduser() if images.path else None
    match images.source:
        case "glyphs":
            return _glyphs(path)
        case "cifar10":
            return cifar10(path)
        case "parquet":
            from repro.data.images.parquet import parquet  # Hugging Face's datasets take two seconds to import

            return parquet(images.path)
        case "imagenet":
            return imagenet(_given(path, "source=imagenet", "ImageNet's folders train and val"))
        case "folder":
            return folder(_given(path, "source=folder", "a folder for each class, or train and val with such folders,"))


def _glyphs(path: Path | None) -> ImageSet:
    if path:
        raise DataError(f"data.path={path}: data.source=glyphs reads no files; add data.source=folder to read these")
    return glyphs()


def _given(path: Path | None, source: str, what: str) -> Path:
    if path is None:
        raise DataError(f"data.{source} needs a copy of yours: give data.path=FOLDER with {what} in it")
    return path
