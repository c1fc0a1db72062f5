"""What images cost: read, decoded and cropped per core, against the decoder and the transforms alone."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import v2

from repro.bench.rows import Figure
from repro.data.images.batches import ImageData
from repro.data.images.folder import folder
from repro.data.images.glyphs import glyphs
from repro.data.images.pictures import ImageSet
from repro.data.images.resize import jpeg, resize
from repro.recipe.images import Images

WIDTH, HEIGHT = 500, 333  # ImageNet's median
GRAIN = 24  # of 255; with it files are of 110 kB, the mean of ImageNet's
SIZE = 224  # pixels a side of a crop
FILES = 256
ROUNDS = 7
CROPPED = {"size": SIZE, "test_size": SIZE, "test_resize": 256, "crop": "random-resized", "interpolation": "bilinear"}


def measure() -> Iterator[Figure]:
    """Images a second of one core, in seconds of the processor, no workers, page cache warm; the ways take turns."""
    with _one_thread(), tempfile.TemporaryDirectory() as root:
        full, small = Path(root) / "full", Path(root) / "small"
        raw = _write(full)
        yield Figure("mean JPEG of 500 x 333 pixels", statistics.mean(map(len, raw)) / 1e3, "kB")
        resize(full, small)
        yield from _against_transforms(raw, folder(full), folder(small))


def _against_transforms(raw: list[bytes], full: ImageSet, small: ImageSet) -> Iterator[Figure]:
    transform = v2.Compose([v2.RandomResizedCrop(SIZE, antialias=True), v2.RandomHorizontalFlip()])
    ways = {
        "decode_jpeg alone": lambda: _decode(raw),
        "decode_jpeg and v2's crop and flip alone": lambda: _decode(raw, transform),
        "loader: decode, crop, flip": lambda: _load(full),
        "loader: the same with RandAugment": lambda: _load(full, randaugment=6),
        "loader: from files of 256 pixels": lambda: _load(small),
        "loader: glyphs, padded crop": lambda: _load(glyphs(), size=32, crop="padded"),
    }
    rounds = [{way: _rate(work) for way, work in ways.items()} for _ in range(ROUNDS)]
    for way in ways:
        yield Figure(way, statistics.median(rates[way] for rates in rounds), "images/s per core")
    _, alone, ours, *_ = ways
    yield Figure(
        "loader against decoder and transforms", 100 * statistics.median(r[ours] / r[alone] for r in rounds), "%"
    )


def _rate(work: Callable[[], int]) -> float:
    start = time.process_time()
    images = work()
    return images / (time.process_time() - start)


def _decode(raw: list[bytes], transform: Callable[[torch.Tensor], torch.Tensor] | None = None) -> int:
    for content in raw:
        image = decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8), mode=ImageReadMode.RGB)
        if transform:
            transform(image)
    return len(raw)


def _load(pictures: ImageSet, **changes: object) -> int:
    """An epoch through the data module."""
    settings = {"source": "folder", "path": None, "flip": True, "randaugment": 0, "mixup": 0.0, "cutmix": 0.0}
    images = Images.model_validate(settings | {"images": 1, "unreadable": 0.0, "workers": 0} | CROPPED | changes)
    batch = 32
    steps = min(len(pictures.train), 4 * FILES) // batch
    data = ImageData(pictures, images, samples_per_step=batch, micro_batch=batch, steps=steps, seed=0)
    return sum(len(labels) for _, labels in data.train_dataloader())


def _write(root: Path) -> list[bytes]:
    """Photographs of nothing: soft shapes with grain, in two classes, whose files are as large as ImageNet's.

    Returns what is in the training files: a folder holds a tenth out.
    """
    rng = np.random.default_rng(0)
    for number in range(FILES):
        path = root / f"class {number % 2}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_jpeg(rng))
    train = folder(root).train
    return [(root / train.name(index)).read_bytes() for index in range(len(train))]


def _jpeg(rng: np.random.Generator) -> bytes:
    def noise(step: int) -> torch.Tensor:
        coarse = torch.from_numpy(rng.normal(size=(1, 3, HEIGHT // step + 2, WIDTH // step + 2)))
        return torch.nn.functional.interpolate(coarse, (HEIGHT, WIDTH), mode="bicubic")[0]

    image = 128 + 45 * noise(80) + 20 * noise(20) + 12 * noise(5) + GRAIN * noise(2)
    return jpeg(image.clamp(0, 255).byte(), quality=95)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
