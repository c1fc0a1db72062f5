"""The Lightning data module that serves batches of images."""

from collections.abc import Iterable, Iterator
from typing import Any

import lightning
from torch import Tensor
from torch.utils.data import Dataset

from repro.data.images.augment import TestView, TrainView
from repro.data.images.order import EpochBatches, Numbers, in_order, steps_per_epoch
from repro.data.images.pictures import ImageSet
from repro.data.images.reading import Batch, TrainImages, ValidationImages
from repro.data.images.tally import Tally
from repro.data.loader import StepLoader
from repro.errors import RunError
from repro.recipe.images import Images

PREFETCHED = 4  # micro-batches of each worker that wait: an image takes from one to ten milliseconds


class ImageLoader(StepLoader):
    """A loader that counts unreadable images in the training process before it hands on a batch."""

    tally: Tally
    parts: int  # of a batch that are handed on

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:  # type: ignore[override]
        for batch in super().__iter__():
            self.tally.count(batch.unreadable)
            yield tuple(batch[: self.parts])


class ImageData(lightning.LightningDataModule):
    """Batches of uint8 images, the same global ones, to the pixel, however they are shared out and read.

    The position in the run is the trainer's optimizer step. What is done to an image follows from (seed, epoch, index).

    Args:
        pictures: the images.
        images: the recipe's ``data`` section: how they are cropped, changed and read.
        samples_per_step: the global batch.
        micro_batch: images that a rank takes at a time.
        steps: optimizer steps of the whole run.
        seed: of order and augmentation.

    Raises:
        DataError: the global batch is larger than the training set.
        RunError: the checkpoint that is loaded was trained on other images.
    """

    def __init__(
        self,
        pictures: ImageSet,
        images: Images,
        *,
        samples_per_step: int,
        micro_batch: int,
        steps: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.pictures, self.workers = pictures, images.workers
        self.samples_per_step, self.micro_batch, self.steps, self.seed = samples_per_step, micro_batch, steps, seed
        steps_per_epoch(len(pictures.train), samples_per_step)  # refuses a batch that no epoch has
        self.train_view = TrainView(images.size, images.crop, images.flip, images.randaugment, images.interpolation)
        self.test_view = TestView(images.test_size, images.test_resize, images.interpolation)
        self.train_tally = Tally(pictures.train, "training", images.unreadable)
        self.validation_tally = Tally(pictures.validation, "validation", images.unreadable)

    @property
    def validation_images(self) -> int:
        """Images in the validation split."""
        return len(self.pictures.validation)

    def train_dataloader(self) -> ImageLoader:
        """``(images, labels)`` of this rank's micro-batches, from the trainer's step to the run's last.

        Images are uint8 ``(micro_batch, 3, size, size)``; labels are int64 ``(micro_batch,)``.
        """
        rank, world_size = self._place()
        batches = EpochBatches(
            len(self.pictures.train),
            samples_per_step=self.samples_per_step,
            micro_batch=self.micro_batch,
            steps=self.steps,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
            done=self.trainer.global_step if self.trainer else 0,
        )
        tries = self.train_tally.allowed + 1  # if so many in a row are unreadable, that is an error
        read = TrainImages(self.pictures.train, self.train_view, seed=self.seed, tries=tries)
        return self._loader(read, batches, self.train_tally, parts=2)

    def validation_batches(self) -> ImageLoader:
        """``(images, labels, present)`` of this rank's share, in order.

        Images are ``(micro_batch, 3, test_size, test_size)``; ``present``, bool ``(micro_batch,)``, is False
        for padding and unreadable images. Each rank has as many batches, all of
        them full, and every image is in one of them on one rank.
        """
        rank, world_size = self._place()
        batches = in_order(self.validation_images, micro_batch=self.micro_batch, rank=rank, world_size=world_size)
        read = ValidationImages(self.pictures.validation, self.test_view)
        return self._loader(read, batches, self.validation_tally, parts=3)

    def state_dict(self) -> dict[str, Any]:
        """What the run was trained on."""
        return {"images": self.pictures.name, "fingerprint": self.pictures.fingerprint}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Refuse a checkpoint that was trained on other images."""
        if state["fingerprint"] != self.pictures.fingerprint:
            raise RunError(
                f"the checkpoint was trained on {state['images']}, {state['fingerprint']}, but here are "
                f"{self.pictures.name}, {self.pictures.fingerprint}: expected the images that the run began with"
            )

    def _place(self) -> tuple[int, int]:
        """This process's rank and the world size."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _loader(self, images: Dataset[Batch], numbers: Iterable[Numbers], tally: Tally, *, parts: int) -> ImageLoader:
        on_gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        ahead = PREFETCHED if self.workers else 0  # a thread that decodes beside the step gained nothing on a CPU
        loader = ImageLoader(images, numbers, workers=self.workers, on_gpu=on_gpu, prefetched=ahead)
        loader.tally, loader.parts = tally, parts
        return loader
