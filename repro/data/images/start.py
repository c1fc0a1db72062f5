"""``repro prepare images``: smaller copies of a folder, as a person sees it."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import MofNCompleteColumn

from repro import paths
from repro.data.images.folder import folder
from repro.data.images.pictures import ImageSet
from repro.data.images.resize import Resized, resize
from repro.data.images.tally import TOLD
from repro.data.progress import bars
from repro.errors import DataError
from repro.recipe import load
from repro.recipe.images import ImageRecipe
from repro.recipe.machine import cores
from repro.recipe.settings import given, whole

SETTINGS = ("path", "short_side", "out")
SHORT_SIDE = 256  # pixels: ImageNet's usual one, of which 224 are seen
LARGEST = 10_000
RECIPE = "resnet50-imagenet-polynorm"


def start(settings: Sequence[str], *, console: Console) -> None:
    """Copy a folder of images, say what could not be copied, and how to train on the copies."""
    words = given(settings, SETTINGS, verb="prepare images", such_as="path=FOLDER")
    if "path" not in words:
        raise DataError("prepare images copies a folder of yours: give path=FOLDER with a folder for each class in it")
    short_side = whole("short_side", words.get("short_side", str(SHORT_SIDE)), largest=LARGEST, such_as=SHORT_SIDE)
    path = Path(words["path"]).expanduser()
    out = Path(words["out"]).expanduser() if "out" in words else _out(path, short_side)
    folder(path)  # one that no recipe reads is told before the work
    torch.set_num_threads(1)  # each image is one thread's
    with bars(MofNCompleteColumn()) as progress:
        resized = resize(path, out, short_side=short_side, workers=cores(), progress=progress)
    copies = folder(out)
    for line in (*_copied(resized, copies), *_next(copies)):
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _out(path: Path, short_side: int) -> Path:
    return paths.prepared() / "images" / f"{path.resolve().name}-{short_side}"


def _copied(resized: Resized, copies: ImageSet) -> list[str]:
    """What was done, and what was left out."""
    total, torn = resized.written + resized.there, resized.unreadable
    of = f"{total:,} images of {len(copies.classes):,} classes"
    lines = [f"{copies.name} holds {of}, {resized.written:,} of them written now"]
    if torn:
        lines += [f"{len(torn):,} of {total + len(torn):,} images cannot be read and are left out:"]
        lines += [f"  {name}: {why}" for name, why in torn[:TOLD]]
    return [*lines, f"  and {len(torn) - TOLD:,} more"] if len(torn) > TOLD else lines


def _next(copies: ImageSet) -> list[str]:
    """The command that trains on them, with what differs from ImageNet's recipe."""
    recipe, images, classes = load(RECIPE), len(copies.train), len(copies.classes)
    assert isinstance(recipe, ImageRecipe)
    command = f"  repro run {RECIPE} data.path={shlex.quote(copies.name)}"
    if (images, classes) != (recipe.data.images, recipe.model.classes):
        command += f" data.source=folder data.images={images} model.classes={classes}"
    if images < recipe.budget.samples_per_step:
        command += f" budget.samples_per_step={images}"
    return ["train on them with", command]
