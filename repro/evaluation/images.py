"""Top-1 and top-5 of an image classifier on its recipe's validation images, image by image, with the standard resize
and crop: as it is validated in training.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from repro.data.images.augment import TestView
from repro.data.images.batches import PREFETCHED, ImageLoader
from repro.data.images.locate import locate
from repro.data.images.order import PADDING, Numbers
from repro.data.images.pictures import ImageSet
from repro.data.images.reading import ValidationImages
from repro.data.images.tally import Tally
from repro.evaluation import results
from repro.evaluation.parts import Kept
from repro.evaluation.results import Row
from repro.evaluation.work import Count, Model
from repro.paths import write_whole
from repro.recipe.images import ImageRecipe
from repro.recipe.runs import is_imported
from repro.training.image_classifier import ImageClassifier
from repro.training.ranks import is_first
from repro.training.record import refuse_other_data
from repro.training.trained import Trained

AT_A_TIME = {"cpu": 32, "cuda": 256}  # images of a forward pass
BATCHES = 8  # of each rank, after which what is done is kept
ANSWERS = 5
UNREAD = -1  # the label of an image that cannot be read


@dataclass(frozen=True)
class Answers:
    """What a classifier said to images, in order; nothing of those that cannot be read.

    Attributes:
        labels: ``(images,)``; -1 where an image cannot be read.
        answers: the likeliest classes, the first five or as many as there are, ``(images, answers)``.
        losses: cross-entropy in nats, ``(images,)``.
    """

    labels: NDArray[np.int64]
    answers: NDArray[np.int64]
    losses: NDArray[np.float32]

    def row(self) -> Row:
        """What they come to."""
        read = self.labels != UNREAD
        right = (self.answers == self.labels[:, None])[read]
        n = len(right)
        measures: Row = {"images": n, "unreadable": len(read) - n}
        for name, k in (("top1", 1), ("top5", ANSWERS)):
            share = float(right[:, :k].any(axis=1).mean())
            measures |= {name: share, f"{name}_error": math.sqrt(share * (1 - share) / n)}
        return measures | {"nats_per_image": float(self.losses[read].mean(dtype=np.float64))}


@dataclass(frozen=True)
class Images:
    """The validation images that a run's recipe names.

    Attributes:
        pictures: the images.
        recipe: how they are resized and cropped.
    """

    pictures: ImageSet
    recipe: ImageRecipe
    kind = name = "images"

    def __str__(self) -> str:
        return f"{self.pictures.name} {self.pictures.fingerprint}"

    @classmethod
    def of(cls, trained: Trained) -> "Images":
        """A run's.

        Raises:
            DataError: they are not here.
            RunError: they are not those of the run.
        """
        assert isinstance(trained.recipe, ImageRecipe)
        pictures = locate(trained.recipe.data, trained.recipe.model.classes)
        if not is_imported(trained.folder):
            refuse_other_data(trained.folder, pictures)
        return cls(pictures, trained.recipe)

    @property
    def size(self) -> int:
        """How many."""
        return len(self.pictures.validation)

    def is_done(self, rows: Sequence[Row], step: int) -> bool:
        """Whether ``rows`` hold what a checkpoint makes of just these."""
        return any((row["step"], row["images_fingerprint"]) == (step, self.pictures.fingerprint) for row in rows)

    def evaluate(self, model: Model, told: Count) -> list[str]:
        """Write what a checkpoint answers."""
        of = model.trained
        there = results.of_step(of.folder, of.step)
        kept = Kept(there / ".images.part", f"{of.step} {self.pictures.fingerprint}")
        found = self._answers(_classifier(model), kept, told)
        if not is_first():
            return []
        write_whole(there / "images.csv", results.table(self._each(found)))
        row = found.row() | {"images_fingerprint": self.pictures.fingerprint, "source": self.recipe.data.source}
        results.write_images(of.folder, of.step, row, device=model.device)
        kept.remove()
        return []

    def _answers(self, module: ImageClassifier, kept: Kept, told: Count) -> Answers:
        world, rank = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
        size = AT_A_TIME[module.device.type]
        before = kept.read()
        found = [Answers(before["labels"], before["answers"], before["losses"])] if before else []
        done = sum(len(part.labels) for part in found)
        told(done)
        loader = self._loader(done, size, rank, world, module.device.type == "cuda")
        for number, batch in enumerate(loader, 1):
            part = _of_all_ranks(_classified(module, *batch))
            part = _cut(part, self.size - done)
            found, done = [*found, part], done + len(part.labels)
            told(len(part.labels))
            if number % BATCHES == 0:
                found = [_joined(found)]
                kept.write(**vars(found[0]))
        return _joined(found)

    def _loader(self, done: int, size: int, rank: int, world: int, on_gpu: bool) -> ImageLoader:
        """Micro-batches of this rank: of each ``world * size`` images that follow each other the ``rank``-th part."""
        starts = range(done + rank * size, -(-(self.size - done) // (world * size)) * world * size + done, world * size)
        numbers = [np.arange(start, start + size) for start in starts]
        wanted = [Numbers(0, np.where(own < self.size, own, PADDING)) for own in numbers]
        data = self.recipe.data
        view = TestView(data.test_size, data.test_resize, data.interpolation)
        ahead = PREFETCHED if data.workers else 0
        read = ValidationImages(self.pictures.validation, view)
        loader = ImageLoader(read, wanted, workers=data.workers, on_gpu=on_gpu, prefetched=ahead)
        loader.tally, loader.parts = Tally(self.pictures.validation, "validation", data.unreadable), 3
        return loader

    def _each(self, found: Answers) -> list[Row]:
        """A row for each image that can be read."""
        name = self.pictures.classes.__getitem__
        return [
            {
                "file": self.pictures.validation.name(number),
                "label": name(label),
                **{f"answer{place}": name(answer) for place, answer in enumerate(answers, 1)},
                "nats": f"{loss:.9g}",
            }
            for number, (label, answers, loss) in enumerate(
                zip(found.labels.tolist(), found.answers.tolist(), found.losses.tolist(), strict=True)
            )
            if label != UNREAD
        ]


def _classifier(of: Model) -> ImageClassifier:
    assert isinstance(of.trained.recipe, ImageRecipe)
    network = of.trained.network(of.device)
    return ImageClassifier(network, of.trained.recipe, seed=0).eval().to(of.device)


def _classified(module: ImageClassifier, images: Tensor, labels: Tensor, present: Tensor) -> Tensor:
    """Labels, answers and losses of a micro-batch, ``(images, 1 + answers + 1)`` float64 on the CPU."""
    labels = labels.to(module.device)
    logits = module.classify(images.to(module.device, non_blocking=True))
    answers = logits.topk(min(ANSWERS, logits.shape[1]), dim=1).indices
    losses = F.cross_entropy(logits, labels, reduction="none")
    shown = labels.where(present.to(module.device), UNREAD)
    return torch.cat([shown[:, None].double(), answers.double(), losses[:, None].double()], dim=1)


def _of_all_ranks(own: Tensor) -> Answers:
    """Of every rank, one after the other; each has as many."""
    every = own
    if dist.is_initialized():
        every = own.new_empty(dist.get_world_size() * len(own), own.shape[1])
        dist.all_gather_into_tensor(every, own)
    table = every.cpu().numpy()
    return Answers(table[:, 0].astype(np.int64), table[:, 1:-1].astype(np.int64), table[:, -1].astype(np.float32))


def _cut(part: Answers, left: int) -> Answers:
    """Without what fills the last micro-batches."""
    return Answers(part.labels[:left], part.answers[:left], part.losses[:left])


def _joined(parts: list[Answers]) -> Answers:
    columns = zip(*((part.labels, part.answers, part.losses) for part in parts), strict=True)
    return Answers(*(np.concatenate(column) for column in columns))
