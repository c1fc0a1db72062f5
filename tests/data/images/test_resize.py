"""Smaller copies of a folder of images, made once and gone on with."""

import pytest

from repro.data.images.claim import MARK
from repro.data.images.decode import decode, read
from repro.data.images.folder import folder
from repro.data.images.resize import LONGEST, Resized, resize
from repro.errors import DataError
from tests.data.images.pictures import encoded, picture, write_classes


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "full"
    for number, (width, height) in enumerate([(80, 60), (60, 80), (64, 64), (33, 20)]):
        for suffix in ("jpg", "PNG"):
            path = root / f"class {number % 2}" / f"{number}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(picture(number, width, height), "PNG" if suffix == "PNG" else "JPEG"))
    return root


@pytest.mark.parametrize("workers", [1, 3])
def test_copies_have_the_same_names_and_a_shorter_side_of_what_was_asked(source, tmp_path, workers):
    assert resize(source, tmp_path / "small", short_side=32, workers=workers) == Resized(8, 0, ())
    for path in source.rglob("*.*"):
        before, after = decode(read(path)), decode(read(tmp_path / "small" / path.relative_to(source)))
        assert min(after.shape[1:]) == min(32, *before.shape[1:])
        assert abs(after.shape[2] / after.shape[1] - before.shape[2] / before.shape[1]) < 1 / 32


def test_the_split_of_a_folder_stays_as_it_was(source, tmp_path):
    resize(source, tmp_path / "small", short_side=32)
    assert folder(tmp_path / "small").fingerprint == folder(source).fingerprint


def test_a_small_image_is_copied_as_it_is(source, tmp_path):
    resize(source, tmp_path / "small", short_side=32)
    assert read(tmp_path / "small" / "class 1" / "3.PNG") == read(source / "class 1" / "3.PNG")


def test_an_image_too_long_for_a_jpeg_is_copied_as_it_is(tmp_path):
    root = write_classes(tmp_path / "full", a=1)
    (root / "a" / "long.png").write_bytes(encoded(picture(1, LONGEST + 1, 2), "PNG"))
    assert resize(root, tmp_path / "small", short_side=1) == Resized(2, 0, ())
    assert read(tmp_path / "small" / "a" / "long.png") == read(root / "a" / "long.png")


def test_progress_is_told_of_every_image(source, tmp_path):
    told = []
    resize(source, tmp_path / "small", short_side=32, progress=lambda *state: told.append(state))
    assert told == [("copy", done, 8) for done in range(1, 9)]


def test_a_second_pass_writes_only_what_is_missing(source, tmp_path):
    out = tmp_path / "small"
    resize(source, out, short_side=32)
    kept, lost = out / "class 0" / "0.jpg", out / "class 0" / "2.jpg"
    kept.write_bytes(b"mine")
    content = lost.read_bytes()
    lost.unlink()
    assert resize(source, out, short_side=32) == Resized(1, 7, ())
    assert kept.read_bytes() == b"mine"
    assert lost.read_bytes() == content
    assert list(out.rglob(".*")) == [out / MARK], "nothing is left aside"


def test_unreadable_images_are_named_and_left_out(source, tmp_path):
    (source / "class 0" / "0.jpg").write_bytes(b"no image")
    outcome = resize(source, tmp_path / "small", short_side=32)
    assert outcome == Resized(7, 0, (("class 0/0.jpg", "not an image"),))
    assert not (tmp_path / "small" / "class 0" / "0.jpg").exists()


@pytest.mark.parametrize("below", [".", "small"])
def test_a_folder_is_not_copied_into_itself(source, below):
    with pytest.raises(DataError, match=r" is in .*: expected a folder elsewhere"):
        resize(source, source / below)


def test_a_folder_without_images_says_so(tmp_path):
    with pytest.raises(DataError, match=r" holds no images: expected files such as cat/1\.jpg"):
        resize(tmp_path, tmp_path.parent / "small")


def test_a_disk_that_refuses_is_one_line(source, tmp_path):
    (tmp_path / "small").write_text("a file")
    with pytest.raises(DataError, match=r"^cannot write to .*small: .+; what is there is kept, start again$"):
        resize(source, tmp_path / "small", short_side=32)
