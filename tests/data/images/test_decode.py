"""What lies in image folders under the name of .jpg, and what becomes of it."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from repro.data.images.decode import decode, read
from repro.data.images.pictures import Unreadable
from tests.data.images.pictures import encoded, picture

GOOD = encoded(picture(3), quality=95)


def pixels(image):
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


@pytest.mark.parametrize(
    ("image", "form"),
    [
        (picture(1), "JPEG"),
        (picture(1).convert("CMYK"), "JPEG"),
        (picture(1).convert("L"), "JPEG"),
        (picture(1), "PNG"),
        (picture(1).convert("L"), "PNG"),
        (picture(1).convert("RGBA"), "PNG"),
        (picture(1, 1, 1), "JPEG"),
        (picture(1, 7, 3), "JPEG"),
    ],
    ids=lambda value: getattr(value, "mode", value),
)
def test_every_kind_becomes_rgb_as_pillow_reads_it(image, form):
    raw = encoded(image, form)
    with Image.open(io.BytesIO(raw)) as opened:
        expected = pixels(opened)
    decoded = decode(raw)
    assert decoded.dtype == torch.uint8
    assert decoded.shape == (3, image.height, image.width)
    # One decoder's inverse transform may round a value the other way, and CMYK multiplies two of them.
    assert (decoded.int() - expected.int()).abs().max() <= 2


def test_a_progressive_jpeg_is_read_too():
    assert torch.equal(decode(encoded(picture(3), quality=95, progressive=True)), decode(GOOD))


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (GOOD[: len(GOOD) // 2], "[Tt]runcated"),
        (b"<html>moved</html>", "^not an image$"),
        (b"", "^not an image$"),
        (encoded(picture(3), "PNG")[:100], ".+"),
        (GOOD[:30], ".+"),
    ],
    ids=["half a JPEG", "text", "nothing", "a piece of a PNG", "a JPEG's header"],
)
def test_what_is_no_image_is_unreadable_and_says_why(raw, why):
    with pytest.raises(Unreadable, match=why) as error:
        decode(raw)
    assert "\n" not in str(error.value)
    assert "0x" not in str(error.value), "no addresses of objects"


def test_a_file_that_is_gone_is_unreadable(tmp_path):
    with pytest.raises(Unreadable, match="No such file"):
        read(tmp_path / "gone.jpg")
