"""From the bytes of an image file to its pixels."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg

from repro.data.images.pictures import Unreadable


def read(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        Unreadable: it is gone, or may not be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(error.strerror or type(error).__name__) from error


def decode(raw: bytes) -> Tensor:
    """The image in ``raw`` as uint8 RGB, ``(3, height, width)``, with its channels innermost in memory.

    By torchvision's JPEG decoder; what it refuses (a PNG, whatever its name; some colour spaces) by Pillow, a quarter
    slower. A rotation in the file's metadata is not applied, as is usual for ImageNet. Torchvision 0.29 announces that
    its decoder will move to torchcodec: it is called nowhere but here.

    Raises:
        Unreadable: neither can read it.
    """
    if raw:
        try:
            image: Tensor = decode_jpeg(torch.frombuffer(bytearray(raw), dtype=torch.uint8), mode=ImageReadMode.RGB)
            return image
        except RuntimeError:
            pass  # not a JPEG, or a damaged one: Pillow says which
    return _by_pillow(raw)


def _by_pillow(raw: bytes) -> Tensor:
    try:
        with Image.open(io.BytesIO(raw)) as image:
            return torch.from_numpy(np.array(_rgb(image))).permute(2, 0, 1)
    except Exception as error:  # damaged files raise OSError, SyntaxError, ValueError, struct.error and more
        raise Unreadable(_reason(error)) from error


def _rgb(image: Image.Image) -> Image.Image:
    """Pillow's conversion, but for greys of more than 8 bits, of which it makes white whatever is above 255."""
    if image.mode in {"I", "F"}:
        raise Unreadable(f"its numbers of 32 bits, mode {image.mode}, do not say what is white")
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")


def _reason(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return "not an image" if "cannot identify image file" in text else text
