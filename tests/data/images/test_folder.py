"""Folders of class folders: their layouts, and what is said of those that are none."""

import os
import pickle

import numpy as np
import pytest

from repro.data.images.decode import decode
from repro.data.images.folder import Folder, folder, imagenet
from repro.errors import DataError
from tests.data.images.pictures import encoded, picture, write_classes


def test_class_folders_are_numbered_in_alphabetical_order(tmp_path):
    write_classes(tmp_path / "train", zebra=2, ant=3)
    write_classes(tmp_path / "val", ant=1, zebra=1)
    opened = folder(tmp_path)
    assert opened.classes == ("ant", "zebra")
    assert opened.train.labels.tolist() == [0, 0, 0, 1, 1]
    assert [opened.train.name(index) for index in (0, 4)] == ["train/ant/002.jpg", "train/zebra/001.jpg"]
    assert opened.validation.labels.tolist() == [0, 1]
    assert opened.name == str(tmp_path)


def test_an_image_is_what_its_file_holds(tmp_path):
    opened = folder(write_classes(tmp_path, a=4, b=4))
    for split in (opened.train, opened.validation):
        for index in range(len(split)):
            number = int(split.name(index)[-7:-4])
            assert (split[index] == decode(encoded(picture(number)))).all()


@pytest.mark.parametrize("name", ["val", "validation", "test"])
def test_the_validation_folder_may_have_any_of_three_names(tmp_path, name):
    write_classes(tmp_path / "train", a=2, b=1)
    write_classes(tmp_path / name, a=1, b=1)
    assert folder(tmp_path).validation.name(0) == f"{name}/a/000.jpg"


def test_of_one_level_a_tenth_of_each_class_is_held_out(tmp_path):
    opened = folder(write_classes(tmp_path, a=30, b=12, c=2))
    assert np.bincount(opened.validation.labels).tolist() == [3, 1, 1]
    assert np.bincount(opened.train.labels).tolist() == [27, 11, 1]
    names = [split.name(index) for split in (opened.train, opened.validation) for index in range(len(split))]
    assert len(set(names)) == 44
    again = folder(tmp_path)
    assert again.validation.files.tolist() == opened.validation.files.tolist()
    assert again.fingerprint == opened.fingerprint


def test_what_is_held_out_depends_on_names_alone(tmp_path):
    one = folder(write_classes(tmp_path / "one", a=30, b=30))
    other = write_classes(tmp_path / "other", a=30, b=30)
    for path in other.rglob("*.jpg"):
        path.write_bytes(encoded(picture(7)))
    assert folder(other).validation.files.tolist() == one.validation.files.tolist()


def test_a_class_called_train_is_no_split(tmp_path):
    assert folder(write_classes(tmp_path, boat=3, train=3)).classes == ("boat", "train")


def test_images_may_lie_deeper_and_other_files_are_passed_over(tmp_path):
    write_classes(tmp_path / "a", images=3)
    write_classes(tmp_path, b=3)
    for name in ("b/notes.txt", "b/.hidden.jpg", "readme.md", ".git/x.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "b" / "capitals.JPEG").write_bytes(encoded(picture(9)))
    opened = folder(tmp_path)
    names = sorted(split.name(i) for split in (opened.train, opened.validation) for i in range(len(split)))
    assert names == [f"a/images/00{n}.jpg" for n in range(3)] + [f"b/00{n}.jpg" for n in range(3)] + ["b/capitals.JPEG"]


def test_a_name_need_not_be_ascii(tmp_path):
    opened = folder(write_classes(tmp_path, élan=2, ñandú=2))
    assert opened.classes == ("élan", "ñandú")
    assert opened.train[0].shape == (3, 30, 40)


def test_the_fingerprint_tells_folders_with_other_files_apart(tmp_path):
    prints = {folder(write_classes(tmp_path / str(n), a=5 + n, b=5)).fingerprint for n in range(3)}
    assert len(prints) == 3


def test_a_million_files_cost_workers_one_array():
    files = Folder.__new__(Folder)
    files.__init__("/images", [f"train/n01440764/n01440764_{n}.JPEG" for n in range(1000)], [0] * 1000)
    assert len(pickle.dumps(files)) < 60_000


def test_imagenets_layout_is_that_of_torchvision(tmp_path):
    write_classes(tmp_path / "train", n01440764=3, n01443537=2)
    write_classes(tmp_path / "val", n01440764=1, n01443537=1)
    opened = imagenet(tmp_path)
    assert opened.classes == ("n01440764", "n01443537")
    assert (len(opened.train), len(opened.validation)) == (5, 2)


def error(call, path):
    with pytest.raises(DataError) as caught:
        call(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("call", [folder, imagenet])
def test_a_path_that_is_no_folder_is_named(tmp_path, call):
    (tmp_path / "file").write_text("")
    assert (
        error(call, tmp_path / "file") == f"data.path={tmp_path / 'file'} is not a folder: expected a folder of images"
    )
    assert error(call, tmp_path / "no") == f"data.path={tmp_path / 'no'} does not exist: expected a folder of images"


def test_a_folder_without_classes_says_what_was_expected(tmp_path):
    (tmp_path / "1.jpg").write_bytes(encoded(picture(1)))
    text = f"{tmp_path} has no class folders with images: expected one folder a class, such as {tmp_path}/cat/1.jpg"
    assert error(folder, tmp_path) == text
    (tmp_path / "empty").mkdir()
    assert error(folder, tmp_path) == text


def test_an_empty_class_folder_is_named(tmp_path):
    write_classes(tmp_path, a=3, b=3)
    (tmp_path / "c").mkdir()
    assert error(folder, tmp_path).startswith(f"the class folder {tmp_path}/c holds no images: expected files such as")


def test_a_folder_that_may_not_be_read_is_no_empty_one(tmp_path, monkeypatch):
    root, scandir = write_classes(tmp_path, a=3, b=3), os.scandir

    def scanned(path):
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scanned)
    assert error(folder, root) == f"{tmp_path}/b cannot be read: Permission denied"


def test_one_class_is_none_to_tell_apart(tmp_path):
    write_classes(tmp_path / "photos", a=3)
    assert error(folder, tmp_path / "photos") == f"{tmp_path}/photos has one class folder, a: expected two or more"
    write_classes(tmp_path / "photos" / "a", b=3)
    assert error(folder, tmp_path / "photos").endswith(f"two or more; is data.path={tmp_path}/photos/a meant?")
    write_classes(tmp_path / "split" / "train", a=3)
    write_classes(tmp_path / "split" / "val", a=3)
    assert error(folder, tmp_path / "split") == f"{tmp_path}/split/train has one class folder, a: expected two or more"


def test_a_class_of_one_image_cannot_be_held_out_of(tmp_path):
    assert error(folder, write_classes(tmp_path, a=3, b=1)).startswith(f"{tmp_path}/b holds one image: expected two")


def test_splits_with_other_classes_name_the_first_that_differs(tmp_path):
    write_classes(tmp_path / "train", a=1, c=1)
    write_classes(tmp_path / "val", a=1, b=1, c=1)
    assert error(folder, tmp_path) == (
        f"{tmp_path}/val has a class 'b' and {tmp_path}/train has not: expected the same class folders in both"
    )


def test_train_alone_says_two_ways_out(tmp_path):
    write_classes(tmp_path / "train", a=3, b=3)
    assert error(folder, tmp_path) == (
        f"{tmp_path} has a folder train and none called val, validation, test: add one, or "
        f"give data.path={tmp_path}/train to hold out a tenth of it"
    )


def test_imagenets_flat_validation_images_need_sorting(tmp_path):
    write_classes(tmp_path / "train", n01440764=3, n01443537=2)
    write_classes(tmp_path, val=3)
    assert error(imagenet, tmp_path) == (
        f"{tmp_path}/val has no class folders: expected ImageNet's, such as n01440764, as "
        f"torchvision.datasets.ImageNet('{tmp_path}', 'val') unpacks them from the original archives"
    )
