"""ImageNet as Hugging Face lays it out: parquet files with a column of images and one of labels."""

import re
import sys
from pathlib import Path

import datasets
import numpy as np
from torch import Tensor

from repro.data.images.decode import decode
from repro.data.images.pictures import ImageSet, Unreadable, listing
from repro.errors import DataError

HUB_NAME = "ILSVRC/imagenet-1k"  # gated: its terms are accepted on the hub, once
VALIDATION_SPLITS = ("validation", "test")  # the first of them that there is


class Parquet:
    """The images of a split of a Hugging Face data set, whose file is mapped into memory, not read."""

    def __init__(self, rows: datasets.Dataset, split: str) -> None:
        self.rows, self.split = rows.select_columns(["image"]).with_format("arrow"), split
        self.labels = rows.data.column("label").to_numpy().astype(np.int64)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Tensor:
        raw = self.rows[index].column("image")[0]["bytes"].as_py()
        if raw is None:
            raise Unreadable("the row has no bytes")
        return decode(raw)

    def name(self, index: int) -> str:
        """The file's name where the row has one, and the row's number."""
        path = self.rows[index].column("image")[0]["path"].as_py()
        return f"{path or 'an image'} (row {index} of {self.split})"


def parquet(where: str | None) -> ImageSet:
    """The data set in a folder of ``train-*.parquet`` and ``validation-*.parquet``, or of a name on the hub.

    ``datasets`` makes its own copy of it, mapped into memory, below ``$HF_HOME``: 150 GB for ImageNet.

    Args:
        where: the folder, or a name on the hub; by default ImageNet's.

    Raises:
        DataError: it cannot be read or fetched, or has other columns or splits.
    """
    name = str(Path(where).expanduser()) if where else HUB_NAME
    splits = _load(name)
    train = splits.get("train")
    validation = next((splits[split] for split in VALIDATION_SPLITS if split in splits), None)
    if train is None or validation is None:
        raise DataError(f"{name} has the splits {', '.join(splits)}: expected train and validation")
    classes = _classes(train, name)
    if _classes(validation, name) != classes:
        raise DataError(f"{name}: train and validation name their classes differently")
    pair = Parquet(train, "train"), Parquet(validation, "validation")
    contents = listing((name.encode() for name in classes), pair[0].labels, pair[1].labels)
    return ImageSet(name, classes, *pair, contents)


def _load(name: str) -> datasets.DatasetDict:
    if not Path(name).is_dir() and not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise DataError(
            f"data.path={name}: expected a folder of parquet files, or a name on the hub such as {HUB_NAME}"
        )
    if Path(name).is_dir() and not any(Path(name).rglob("*.parquet")):
        raise DataError(
            f"data.path={name} holds no parquet files: expected train-*.parquet and validation-*.parquet below it; "
            "data.source=folder reads class folders of images"
        )
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what it logs as an error it also raises
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    try:
        return datasets.load_dataset(name)
    except Exception as error:  # of datasets, pyarrow, the hub's client and the network
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{name} cannot be loaded: {why}; give data.path=FOLDER with train-*.parquet and validation-*.parquet in it"
        ) from error


def _classes(rows: datasets.Dataset, name: str) -> tuple[str, ...]:
    """The names of the classes, or their numbers where the file has no names.

    Raises:
        DataError: the columns are not ``image`` and ``label``, or an image has no label.
    """
    if not (_is_image(rows.features.get("image")) and "label" in rows.features):
        columns = ", ".join(f"{column}: {feature}" for column, feature in rows.features.items())
        raise DataError(f"{name} has the columns {columns}: expected image, with the file's bytes, and label")
    labels = rows.data.column("label").to_numpy()
    if not len(labels) or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise DataError(f"{name}: expected every row to have a label from 0")
    label = rows.features["label"]
    return tuple(label.names) if isinstance(label, datasets.ClassLabel) else tuple(map(str, range(labels.max() + 1)))


def _is_image(feature: object) -> bool:
    return isinstance(feature, datasets.Image) or (isinstance(feature, dict) and {"bytes", "path"} <= feature.keys())
