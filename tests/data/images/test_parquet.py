"""Parquet files as Hugging Face's imagenet-1k has them, made and read through ``datasets``."""

import pickle

import datasets
import pytest
import torch

from repro.data.images.decode import decode
from repro.data.images.parquet import parquet
from repro.data.images.pictures import Unreadable
from repro.errors import DataError
from tests.data.images.pictures import encoded, picture, write_classes


@pytest.fixture(autouse=True)
def _quiet_and_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def rows(numbers, label=None):
    images = [{"bytes": encoded(picture(n)), "path": f"{n}.JPEG"} for n in numbers]
    features = datasets.Features(
        {"image": datasets.Image(), "label": label or datasets.ClassLabel(names=["ant", "bee"])}
    )
    return datasets.Dataset.from_dict({"image": images, "label": [n % 2 for n in numbers]}, features=features)


def written(root, **splits):
    (root / "data").mkdir(parents=True)
    for name, content in splits.items():
        half = len(content) // 2
        for part, indices in enumerate([range(half), range(half, len(content))]):
            content.select(indices).to_parquet(root / "data" / f"{name}-0000{part}-of-00002.parquet")
    return root


@pytest.fixture
def root(tmp_path):
    return written(tmp_path / "in parquet", train=rows(range(7)), validation=rows(range(10, 14)))


def test_images_and_labels_are_those_of_the_rows(root):
    opened = parquet(str(root))
    assert opened.classes == ("ant", "bee")
    assert opened.train.labels.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert len(opened.validation) == 4
    assert all(torch.equal(opened.train[n], decode(encoded(picture(n)))) for n in range(7))
    assert torch.equal(opened.validation[3], decode(encoded(picture(13))))
    assert opened.train.name(5) == "5.JPEG (row 5 of train)"


def test_labels_without_names_are_numbered(tmp_path):
    number = datasets.Value("int64")
    root = written(tmp_path / "numbers", train=rows(range(4), number), validation=rows(range(4), number))
    assert parquet(str(root)).classes == ("0", "1")


def test_a_worker_that_is_started_afresh_reads_the_same(root):
    train = parquet(str(root)).train
    sent = pickle.dumps(train)
    assert torch.equal(pickle.loads(sent)[3], train[3])


def test_a_row_without_bytes_is_unreadable(tmp_path):
    plain = datasets.Features({"image": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}})
    plain["label"] = datasets.Value("int64")
    empty = {"image": [{"bytes": None, "path": None}] * 2, "label": [0, 1]}
    empty = datasets.Dataset.from_dict(empty, features=plain)
    opened = parquet(str(written(tmp_path / "empty", train=empty, validation=empty)))
    with pytest.raises(Unreadable, match="the row has no bytes"):
        opened.train[1]
    assert opened.train.name(1) == "an image (row 1 of train)"


def test_one_split_is_not_enough(tmp_path):
    root = written(tmp_path / "half", train=rows(range(4)))
    with pytest.raises(DataError, match=r"half has the splits train: expected train and validation$"):
        parquet(str(root))


def test_other_columns_are_named(tmp_path):
    other = rows(range(4)).rename_column("image", "img")
    root = written(tmp_path / "other", train=other, validation=other)
    with pytest.raises(DataError, match=r"other has the columns img: .*, label: .*: expected image, with the file's"):
        parquet(str(root))


def test_an_image_without_a_label_is_refused(tmp_path):
    unlabelled = rows(range(4)).remove_columns("label").add_column("label", [-1] * 4)
    root = written(tmp_path / "unlabelled", train=unlabelled, validation=unlabelled)
    with pytest.raises(DataError, match=r"unlabelled: expected every row to have a label from 0$"):
        parquet(str(root))


def one_line(path):
    with pytest.raises(DataError) as caught:
        parquet(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_of_images_says_what_reads_it(tmp_path):
    write_classes(tmp_path / "train", a=1, b=1)
    assert one_line(tmp_path) == (
        f"data.path={tmp_path} holds no parquet files: expected train-*.parquet and validation-*.parquet below it; "
        "data.source=folder reads class folders of images"
    )


def test_a_damaged_file_is_told_once(tmp_path, caplog, capfd):
    (tmp_path / "train-00000.parquet").write_bytes(b"junk")
    text = one_line(tmp_path)
    assert text.startswith(f"{tmp_path} cannot be loaded: Parquet file size is 4 bytes")
    assert text.endswith("; give data.path=FOLDER with train-*.parquet and validation-*.parquet in it")
    assert caplog.messages == []
    assert capfd.readouterr() == ("", "")


def test_a_path_that_is_neither_folder_nor_name_is_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"^data\.path=.*gone: expected a folder of parquet files, or a name on the hub"
    ):
        parquet(str(tmp_path / "gone"))


def test_without_a_path_imagenet_is_asked_for_on_the_hub(monkeypatch):
    def refused(name):
        raise ConnectionError(f"Couldn't reach {name!r} on the Hub\nmore")

    monkeypatch.setattr(datasets, "load_dataset", refused)
    with pytest.raises(
        DataError, match=r"^ILSVRC/imagenet-1k cannot be loaded: Couldn't reach 'ILSVRC/imagenet-1k' on the Hub; give"
    ):
        parquet(None)
