"""Images that cannot be read: named, counted and skipped up to a share, then an error."""

import logging

import numpy as np
import pytest
import torch

from repro.data.images.folder import folder
from repro.data.images.pictures import Unreadable
from repro.data.images.tally import Tally
from repro.errors import DataError
from tests.data.images.pictures import Numbered, at, encoded, image_data, numbered, picture, write_classes

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")


class Broken(Numbered):
    def __init__(self, n, broken):
        super().__init__(n)
        self.broken = set(broken)

    def __getitem__(self, index):
        if index in self.broken:
            raise Unreadable("torn")
        return super().__getitem__(index)


def damaged(train=(), validation=(), n_train=50, n_validation=9):
    whole = numbered()
    parts = {"train": Broken(n_train, train), "validation": Broken(n_validation, validation)}
    return type(whole)(whole.name, whole.classes, parts["train"], parts["validation"], whole.fingerprint)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_the_next_image_takes_an_unreadable_ones_place(workers):
    """In the same view: 48 and 49 are torn, so 0 stands where they were."""
    data = image_data(damaged(train=[7, 48, 49]), unreadable=0.1, workers=workers, steps=6)
    healthy = numbered()
    for place, other in ((7, 8), (48, 0), (49, 0)):
        healthy.train.images[place] = healthy.train.images[other]
        healthy.train.labels[place] = healthy.train.labels[other]
    for (ours, labels), (expected, others) in zip(
        data.train_dataloader(), image_data(healthy, steps=6).train_dataloader(), strict=True
    ):
        assert torch.equal(ours, expected)
        assert torch.equal(labels, others)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_each_is_counted_once_however_often_it_is_met(workers, caplog):
    data = image_data(damaged(train=[7, 8, 30]), unreadable=0.06, workers=workers, steps=30)  # five epochs
    with caplog.at_level(logging.WARNING):
        assert len(list(data.train_dataloader())) == 30
    assert data.train_tally.met == {7: "torn", 8: "torn", 30: "torn"}
    told = [f"image {index} cannot be read and is left out" for index in data.train_tally.met]
    assert caplog.messages == [f"{text}, {number} of the 3 that may be: torn" for number, text in enumerate(told, 1)]


@pytest.mark.parametrize("workers", [0, 2])
def test_more_than_the_share_is_an_error_of_one_line(workers):
    data = image_data(damaged(train=range(0, 50, 10)), unreadable=0.08, workers=workers, steps=30)
    with pytest.raises(DataError) as caught:
        list(data.train_dataloader())
    first = list(data.train_tally.met)
    assert len(first) == 5
    names = ", ".join(f"image {index} (torn)" for index in first[:3])
    assert str(caught.value) == (
        f"5 of 50 training images (10.00%) cannot be read, more than data.unreadable=0.08 allows: {names}, ..."
    )
    assert caught.value.exit_code == 2


def test_the_error_comes_at_the_same_batch_with_any_workers():
    served = []
    for workers in (0, 1, 2):
        data = image_data(damaged(train=range(0, 50, 5)), unreadable=0.1, workers=workers)
        batches = 0
        with pytest.raises(DataError):  # noqa: PT012 (the batches before it are counted)
            for _ in data.train_dataloader():
                batches += 1
        served.append((batches, tuple(data.train_tally.met)))
    assert len(set(served)) == 1


def test_by_default_a_single_one_is_an_error():
    with pytest.raises(
        DataError, match=r"^1 of 50 training .*\(2\.00%\) .*data\.unreadable=0 allows: image 7 \(torn\)$"
    ):
        list(image_data(damaged(train=[7]), steps=6).train_dataloader())


@pytest.mark.parametrize("workers", [0, 2])
def test_all_unreadable_is_an_error_whatever_the_share(workers):
    data = image_data(damaged(train=range(50)), unreadable=1.0, workers=workers)
    with pytest.raises(DataError, match=r"^50 of 50 training images \(100\.00%\) cannot be read, and none is left: "):
        list(data.train_dataloader())


def test_all_but_one_may_be_unreadable_if_the_recipe_says_so():
    data = image_data(damaged(train=range(1, 50)), unreadable=1.0)
    labels = torch.cat([labels for _, labels in data.train_dataloader()])
    assert not labels.any(), "all are image 0"


def test_an_unreadable_validation_image_is_left_out_and_not_replaced():
    data = image_data(damaged(validation=[2, 5]), unreadable=0.3, micro_batch=4)
    present = torch.cat([present for _, _, present in data.validation_batches()])
    assert present.tolist() == [index < 9 and index not in (2, 5) for index in range(12)]
    assert list(data.validation_tally.met) == [2, 5]
    assert data.train_tally.met == {}
    with pytest.raises(DataError, match=r"^2 of 9 validation images \(22\.22%\) cannot be read"):
        list(image_data(damaged(validation=[2, 5]), unreadable=0.2).validation_batches())


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_count_what_they_meet_and_agree_on_what_they_serve(world_size):
    whole = image_data(damaged(train=[7, 8, 30]), unreadable=0.06, steps=12)
    expected = torch.stack([images for images, _ in whole.train_dataloader()])
    met, share = set(), 8 // world_size
    for rank in range(world_size):
        data = image_data(damaged(train=[7, 8, 30]), unreadable=0.06, steps=12, micro_batch=share)
        loader = at(data, rank=rank, world_size=world_size).train_dataloader()
        own = torch.stack([images for images, _ in loader])
        assert torch.equal(own, expected[:, rank * share : (rank + 1) * share])
        met |= set(data.train_tally.met)
    assert met == set(whole.train_tally.met)


def test_only_the_first_of_many_are_told(caplog):
    tally = Tally(Numbered(100), "training", 0.5)
    with caplog.at_level(logging.WARNING):
        for first in range(0, 40, 10):
            tally.count((index, "torn") for index in range(max(0, first - 5), first + 10))
    assert len(caplog.messages) == 20
    assert [text.endswith("; further ones are counted and not told") for text in caplog.messages] == [False] * 19 + [
        True
    ]
    assert len(tally.met) == 40


def test_what_is_an_error_is_not_also_told(caplog):
    tally = Tally(Numbered(100), "training", 0.02)
    with caplog.at_level(logging.WARNING), pytest.raises(DataError, match=r"^3 of 100 training images \(3\.00%\)"):
        tally.count([(1, "torn"), (2, "torn"), (3, "torn")])
    assert caplog.messages == []


@pytest.fixture
def mixed_folder(tmp_path):
    """Ten training images: a truncated JPEG and a text file among them, a CMYK JPEG, a PNG and a grey one, all .jpg."""
    write_classes(tmp_path / "train", a=5, b=5)
    write_classes(tmp_path / "val", a=1, b=1)
    contents = {
        "a/000.jpg": encoded(picture(0))[:300],
        "a/001.jpg": b"no image",
        "a/002.jpg": encoded(picture(2).convert("CMYK")),
        "b/005.jpg": encoded(picture(5), "PNG"),
        "b/006.jpg": encoded(picture(6).convert("L")),
    }
    for name, content in contents.items():
        (tmp_path / "train" / name).write_bytes(content)
    return folder(tmp_path)


def test_of_files_called_jpg_those_that_are_images_are_read(mixed_folder):
    data = image_data(mixed_folder, samples_per_step=10, micro_batch=10, steps=1, unreadable=0.2)
    ((images, labels),) = data.train_dataloader()
    assert {mixed_folder.train.name(index) for index in data.train_tally.met} == {"train/a/000.jpg", "train/a/001.jpg"}
    assert np.bincount(labels).tolist() == [5, 5]
    assert images.flatten(1).any(1).all(), "none is blank"


def test_files_that_are_no_images_are_named_in_the_error(mixed_folder):
    data = image_data(mixed_folder, samples_per_step=10, micro_batch=10, steps=1, unreadable=0.1)
    with pytest.raises(
        DataError, match=r"^2 of 10 .* \(20\.00%\) .* train/a/00[01]\.jpg \(.+\), train/a/00[01]\.jpg \(.+\)$"
    ):
        list(data.train_dataloader())
