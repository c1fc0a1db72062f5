"""Smaller copies of images, so that a run spends its processors on something else than decoding."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from repro.data.images.decode import decode, read
from repro.data.images.folder import images_below
from repro.data.images.pictures import Unreadable
from repro.errors import DataError
from repro.paths import write_whole

_AT_A_TIME = 1000  # files handed to the threads, which otherwise queue all of a million


@dataclass(frozen=True)
class Resized:
    """What a pass over a folder did."""

    written: int
    there: int  # already, from a pass before
    unreadable: tuple[tuple[str, str], ...]  # names, and why; they are left out


def resize(folder: Path, out: Path, *, short_side: int = 256, quality: int = 90, workers: int = 1) -> Resized:
    """Copy the images below ``folder`` to the same names below ``out``, with a shorter side of at most ``short_side``.

    They are written as JPEGs of ``quality``, whatever their suffix: the reader looks at the content, and the split of
    a folder at the names. An image that is small enough is copied as it is. Each is written aside and then renamed, and
    one that is there is kept, so a pass that was interrupted is started again.

    Args:
        folder: of images, at any depth.
        out: another folder, not below ``folder``.
        short_side: pixels.
        quality: of the JPEGs, 1 to 100.
        workers: threads; decoding and resizing run beside each other.

    Raises:
        DataError: ``folder`` has no images, ``out`` is in it, or the disk refuses.
    """
    if folder.resolve() in (out.resolve(), *out.resolve().parents):
        raise DataError(f"{out} is in {folder}: expected a folder elsewhere, or its copies would be copied next time")
    names = list(images_below(folder))
    if not names:
        raise DataError(f"{folder} holds no images: expected files such as cat/1.jpg at any depth below it")
    copy = partial(_copy, folder=folder, out=out, short_side=short_side, quality=quality)
    try:
        outcomes = dict(zip(names, _in_threads(copy, names, workers), strict=True))
    except OSError as error:
        raise DataError(f"cannot write to {out}: {error.strerror}; what is there is kept, start again") from error
    unreadable = tuple((name, why) for name, why in outcomes.items() if isinstance(why, str))
    return Resized(list(outcomes.values()).count(True), list(outcomes.values()).count(False), unreadable)


def jpeg(image: Tensor, quality: int) -> bytes:
    """``image``, uint8 ``(3, height, width)``, as the content of a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
    return file.getvalue()


def _in_threads(copy: "partial[bool | str]", names: list[str], workers: int) -> Iterator[bool | str]:
    with ThreadPoolExecutor(workers) as threads:
        for first in range(0, len(names), _AT_A_TIME):
            yield from threads.map(copy, names[first : first + _AT_A_TIME])


def _copy(name: str, *, folder: Path, out: Path, short_side: int, quality: int) -> bool | str:
    """Whether it was written now, or why it is unreadable."""
    if (out / name).is_file():
        return False
    try:
        smaller = _smaller(folder / name, short_side, quality)
    except Unreadable as why:
        return str(why)
    write_whole(out / name, smaller)
    return True


def _smaller(path: Path, short_side: int, quality: int) -> bytes:
    raw = read(path)
    image = decode(raw)
    if min(image.shape[1:]) <= short_side:
        return raw
    resized = F.resize(image, [short_side], antialias=True)
    return jpeg(resized, quality)
