"""CIFAR-10 in torchvision's files, as a folder of images, and when it cannot be fetched."""

import hashlib
import pickle
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10

from repro.data.images import cifar
from repro.data.images.cifar import cifar10
from repro.errors import DataError
from tests.data.images.pictures import write_classes

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


@pytest.fixture
def batches(tmp_path, monkeypatch):
    """A small copy in torchvision's format, whose checksums torchvision takes for the real ones."""
    place = tmp_path / CIFAR10.base_folder
    place.mkdir()
    rng = np.random.default_rng(0)

    def write(name, content):
        (place / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((place / name).read_bytes()).hexdigest()]

    def batch(n):
        return {"data": rng.integers(0, 256, (n, 3072), dtype=np.uint8), "labels": [k % 10 for k in range(n)]}

    monkeypatch.setattr(CIFAR10, "train_list", [write(f"data_batch_{n}", batch(20)) for n in range(2)])
    monkeypatch.setattr(CIFAR10, "test_list", [write("test_batch", batch(10))])
    name, md5 = write("batches.meta", {"label_names": NAMES})
    monkeypatch.setattr(CIFAR10, "meta", {"filename": name, "key": "label_names", "md5": md5})
    return tmp_path


def test_torchvisions_files_are_read_where_they_lie(batches):
    opened = cifar10(batches)
    assert opened.classes == tuple(NAMES)
    assert (len(opened.train), len(opened.validation)) == (40, 10)
    reference = CIFAR10(batches, train=False)
    for index in range(10):
        image, label = reference[index]
        assert torch.equal(opened.validation[index].permute(1, 2, 0), torch.from_numpy(np.array(image)))
        assert opened.validation.labels[index] == label
    assert opened.train.name(3) == "image 3 of train"


def test_a_folder_of_images_is_read_as_one(tmp_path):
    write_classes(tmp_path / "train", **dict.fromkeys(NAMES, 2))
    write_classes(tmp_path / "test", **dict.fromkeys(NAMES, 1))
    opened = cifar10(tmp_path)
    assert opened.classes == tuple(NAMES)
    assert (len(opened.train), len(opened.validation)) == (20, 10)


def test_without_a_path_it_is_downloaded_below_repro_data(batches, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(batches / "data"))
    asked = []

    def download(self):
        asked.append(self.root)
        if not self.root.joinpath(self.base_folder).exists():
            self.root.joinpath(self.base_folder).symlink_to(batches / self.base_folder)

    monkeypatch.setattr(CIFAR10, "download", download)
    assert len(cifar10(None).train) == 40
    assert set(asked) == {batches / "data" / "cifar10"}


def test_without_a_network_the_way_out_is_named(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setenv("REPRO_DATA", str(tmp_path))
    monkeypatch.setattr(CIFAR10, "download", offline)
    with pytest.raises(DataError) as caught:
        cifar10(None)
    assert str(caught.value) == (
        f"CIFAR-10 cannot be downloaded to {tmp_path}/cifar10: <urlopen error no route to host>; "
        "give data.path=FOLDER, with class folders in FOLDER/train and FOLDER/test "
        "or torchvision's cifar-10-batches-py in it"
    )


def test_damaged_files_are_refused(batches):
    (batches / CIFAR10.base_folder / "test_batch").write_bytes(b"")
    with pytest.raises(DataError, match=r"cifar-10-batches-py is not CIFAR-10: Dataset not found or corrupted"):
        cifar10(batches)


def test_images_go_to_workers_without_a_copy():
    images = cifar.Array(np.zeros((4, 32, 32, 3), np.uint8), [0, 1, 2, 3], "train")
    assert images[2].shape == (3, 32, 32)
    assert images[2].untyped_storage().data_ptr() == images.images.untyped_storage().data_ptr()
