"""Small images made for the tests, and recipes' sections that read them."""

import io
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from repro.data.images.batches import ImageData
from repro.data.images.pictures import ImageSet
from repro.recipe.images import Images

SETTINGS = {
    "source": "folder",
    "path": None,
    "images": 4,
    "size": 16,
    "test_size": 16,
    "test_resize": 18,
    "crop": "random-resized",
    "interpolation": "bilinear",
    "flip": True,
    "randaugment": 0,
    "mixup": 0.0,
    "cutmix": 0.0,
    "unreadable": 0.0,
    "workers": 0,
}


def settings(**changes):
    return Images.model_validate(SETTINGS | changes)


def picture(number, width=40, height=30):
    """An image of soft shapes, whose corner tells its number."""
    rng = np.random.default_rng(number)
    soft = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize((width, height), Image.BICUBIC)
    soft.paste((number % 256, 0, 0), (0, 0, 8, 8))
    return soft


def encoded(image, form="JPEG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def write_classes(root, **images):
    """A folder a class, with so many JPEGs each; a class's first number follows the class before."""
    number = 0
    for name, count in images.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for _ in range(count):
            (root / name / f"{number:03d}.jpg").write_bytes(encoded(picture(number)))
            number += 1
    return root


class Numbered:
    """Images in memory; those in ``broken`` cannot be read."""

    def __init__(self, n, classes=4, side=20):
        generator = torch.Generator().manual_seed(n)
        self.images = torch.randint(256, (n, 3, side, side), generator=generator, dtype=torch.uint8)
        self.labels = np.arange(n) % classes

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.images[index]

    def name(self, index):
        return f"image {index}"


def numbered(train=50, validation=9):
    return ImageSet("numbered images", tuple("abcd"), Numbered(train), Numbered(validation), "0123456789abcdef")


def image_data(pictures, *, samples_per_step=8, micro_batch=8, steps=20, seed=1, **changes):
    return ImageData(
        pictures,
        settings(**changes),
        samples_per_step=samples_per_step,
        micro_batch=micro_batch,
        steps=steps,
        seed=seed,
    )


def at(data, *, step=0, rank=0, world_size=1):
    """``data`` as a trainer at ``step`` on one rank of several sees it."""
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    data.trainer = SimpleNamespace(global_step=step, global_rank=rank, world_size=world_size, strategy=strategy)
    return data
