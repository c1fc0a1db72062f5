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


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_of_a_grey_of_16_bits_the_upper_8_are_taken(form):
    grey = np.linspace(0, 65535, 40 * 30).astype(np.uint16).reshape(30, 40)
    decoded = decode(encoded(Image.fromarray(grey), form))
    assert decoded.dtype == torch.uint8
    assert all(np.array_equal(channel.numpy(), grey >> 8) for channel in decoded)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_numbers_without_a_white_are_unreadable(dtype):
    with pytest.raises(Unreadable, match=r"^its numbers of 32 bits, mode [IF], do not say what is white$"):
        decode(encoded(Image.fromarray(np.ones((3, 4), dtype)), "TIFF"))


def test_of_a_moving_image_the_first_is_taken():
    first, second = picture(1).quantize(), picture(2).quantize()
    raw = encoded(first, "GIF", save_all=True, append_images=[second])
    assert torch.equal(decode(raw), pixels(first))


def test_a_header_that_promises_billions_of_pixels_is_unreadable():
    raw = bytearray(GOOD)
    size = raw.find(b"\xff\xc0") + 5
    raw[size : size + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(Unreadable, match=r"4294836225 pixels"):
        decode(bytes(raw))


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
