"""Bad images, and networks and sizes that cannot be, through the command line: exit 2 and one line that helps."""

import numpy as np
import pytest
from PIL import Image

from repro import cli
from tests.data.images.pictures import encoded, picture, write_classes

TINY = ("blocks=[1]", "width=2", "samples_per_step=4", "epochs=1", "source=folder", "--on", "cpu")


@pytest.fixture
def run(capfd, monkeypatch, tmp_path):
    """Runs a command in a folder of its own, and gives its code and what it wrote to stderr."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(*arguments):
        code = cli.status(["run", *map(str, arguments)])
        return code, capfd.readouterr().err

    return run


@pytest.fixture
def train(run, photos):
    """Trains four steps on ``photos``, of which some are not as they should be."""

    def train(*more, classes=2, images=16):
        return run("resnet50-smoke-relu", f"data.path={photos}", f"classes={classes}", f"images={images}", *TINY, *more)

    return train


@pytest.fixture
def photos(tmp_path):
    write_classes(tmp_path / "photos" / "train", ant=8, bee=8)
    write_classes(tmp_path / "photos" / "val", ant=2, bee=2)
    return tmp_path / "photos"


def one_line(outcome):
    code, said = outcome
    assert (code, said.count("\n")) == (2, 1), said
    assert said.startswith("repro: ")
    return said.removeprefix("repro: ").removesuffix("\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("resnet50-smoke-swiglu",), "resnet50 takes no gated activation, and swiglu is one. Did you mean"),
        (("rnn-smoke-geglu",), "rnn takes no gated activation, and geglu is one. Did you mean 'rnn-smoke-gelu'?"),
        (("moe-smoke-relu", "top_k=5"), "top_k=5 is above experts=4"),
        (("moe-smoke-relu", "d_model=60"), "d_model=60 is not a multiple of 8"),
        (("moe-smoke-relu", "d_ff=100"), "d_ff=100 gives experts of width 100 with relu"),
        (("moe-smoke-swiglu", "d_ff=102"), "d_ff=102 gives experts of width 68 with swiglu"),
        (("resnet50-smoke-relu", "classes=1"), "model.classes is 1; expected 2 or more"),
        (("resnet50-smoke-relu", "crop=non"), "data.crop is 'non'; expected 'random-resized', 'padded' or 'none'"),
        (("resnet50-imagenet-relu",), "data.source=imagenet needs a copy of yours: give data.path=FOLDER"),
        (("resnet50-cifar10-relu", "data.path=/no"), "data.path=/no does not exist: expected a folder of images"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_recipe_that_cannot_be(run, tmp_path, arguments, text):
    assert text in one_line(run(*arguments, "--on", "cpu"))
    assert list((tmp_path / "here").iterdir()) == []


def test_a_class_count_that_differs(train, photos):
    assert one_line(train(classes=10, images=50)) == (
        f"{photos} has 2 classes and the recipe model.classes=10: set model.classes=2 data.images=16, or data.path to "
        "images of 10 classes"
    )


def test_a_folder_without_classes(train, photos):
    for path in photos.rglob("*.jpg"):
        path.rename(photos / path.name)
    assert one_line(train()).startswith(f"{photos}/train has no class folders with images: expected one")


def test_splits_with_other_classes(train, photos):
    write_classes(photos / "val", cat=2)
    assert one_line(train()).startswith(f"{photos}/val has a class 'cat' and {photos}/train has not")


def test_one_unreadable_image_too_many(train, photos):
    (photos / "train" / "ant" / "003.jpg").write_bytes(encoded(picture(3))[:300])
    assert one_line(train()).startswith(
        "1 of 16 training images (6.25%) cannot be read, more than data.unreadable=0.001 allows: train/ant/003.jpg ("
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_image_within_the_share_is_named_and_left_out(train, photos, caplog, workers):
    (photos / "train" / "ant" / "003.jpg").write_bytes(b"no image")
    (photos / "val" / "bee" / "002.jpg").write_bytes(b"")
    assert train("unreadable=0.25", f"workers={workers}") == (0, "")
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "train/ant/003.jpg cannot be read and is left out, 1 of the 4 that may be: not an image",
        "val/bee/002.jpg cannot be read and is left out, 1 of the 1 that may be: not an image",
    ]


def test_odd_images_are_read(train, photos):
    grey = Image.fromarray(np.linspace(0, 65535, 1200).astype(np.uint16).reshape(30, 40))
    odd = {
        "train/ant/000.jpg": encoded(picture(0).convert("CMYK")),
        "train/ant/001.jpg": encoded(picture(1), "PNG"),
        "train/ant/002.jpg": encoded(grey, "PNG"),
        "train/bee/008.jpg": encoded(picture(8).quantize(), "GIF"),
        "train/bee/009.jpg": encoded(picture(9, 1, 1)),
        "val/ant/000.jpg": encoded(picture(9, 1, 1)),
    }
    for name, content in odd.items():
        (photos / name).write_bytes(content)
    assert train() == (0, "")
