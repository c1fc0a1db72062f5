"""Smaller copies of images, so that a run spends its processors on something else than decoding."""

import io
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from repro.data.images.claim import claimed
from repro.data.images.decode import decode, read
from repro.data.images.folder import images_below
from repro.data.images.pictures import Unreadable
from repro.data.progress import Progress, silent
from repro.errors import DataError
from repro.paths import write_whole

LONGEST = 65_500  # pixels of a side that Pillow writes in a JPEG; what is longer is copied as it is
_AT_A_TIME = 1000  # files handed to the threads, which otherwise queue all of a million


@dataclass(frozen=True)
class Resized:
    """What a pass over a folder did."""

    written: int
    there: int  # already, from a pass before
    unreadable: tuple[tuple[str, str], ...]  # names, and why; they are left out


def resize(
    folder: Path,
    out: Path,
    *,
    short_side: int = 256,
    quality: int = 90,
    workers: int = 1,
    progress: Progress = silent,
) -> Resized:
    """Copy the images below ``folder`` to the same names below ``out``, with a shorter side of at most ``short_side``.

    They are written as JPEGs of ``quality``, whatever their suffix: the reader looks at the content, and the split of
    a folder at the names. An image that is small enough is copied as it is. Each is written aside and then renamed, and
    one that is there is kept, so a pass that was interrupted is started again.

    Args:
        folder: of images, at any depth.
        out: another folder, not below ``folder``, which holds nothing but such copies.
        short_side: pixels.
        quality: of the JPEGs, 1 to 100.
        workers: threads; decoding and resizing run beside each other.
        progress: told of images.

    Raises:
        DataError: ``folder`` has no images, ``out`` is in it, in use or holds something else, or the disk refuses.
    """
    if folder.resolve() in (out.resolve(), *out.resolve().parents):
        raise DataError(f"{out} is in {folder}: expected a folder elsewhere, or its copies would be copied next time")
    names = list(images_below(folder))
    if not names:
        raise DataError(f"{folder} holds no images: expected files such as cat/1.jpg at any depth below it")
    copy = partial(_copy, folder=folder, out=out, short_side=short_side, quality=quality)
    try:
        with claimed(out, f"path={folder.resolve()} short_side={short_side} quality={quality}"):
            return _counted(copy, names, workers, progress)
    except OSError as error:
        raise DataError(f"cannot write to {out}: {error.strerror}; what is there is kept, start again") from error


def jpeg(image: Tensor, quality: int) -> bytes:
    """``image``, uint8 ``(3, height, width)``, as the content of a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
    return file.getvalue()


def _counted(copy: "partial[bool | str]", names: Sequence[str], workers: int, progress: Progress) -> Resized:
    written, there, unreadable = 0, 0, []
    with closing(_in_threads(copy, names, workers)) as outcomes:
        for done, (name, outcome) in enumerate(zip(names, outcomes, strict=True), 1):
            if isinstance(outcome, str):
                unreadable.append((name, outcome))
            written, there = written + (outcome is True), there + (outcome is False)
            progress("copy", done, len(names))
    return Resized(written, there, tuple(unreadable))


def _in_threads(copy: "partial[bool | str]", names: Sequence[str], workers: int) -> Generator[bool | str, None, None]:
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
    height, width = image.shape[1:]
    if min(height, width) <= short_side or max(height, width) > LONGEST:
        return raw
    return jpeg(F.resize(image, [short_side], antialias=True), quality)
