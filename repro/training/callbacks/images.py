"""What happens around a step of an image classifier, in this order: statistics, averaging, ..., validation."""

from collections.abc import Iterator
from typing import Any

import lightning
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy

from repro.data.images.batches import ImageData
from repro.errors import DataError
from repro.training.averaging import flat, follow, share, statistics
from repro.training.callbacks import at_step, due
from repro.training.callbacks.metrics import paused
from repro.training.callbacks.validation import Validation, of_all_ranks
from repro.training.image_classifier import ImageClassifier

NOWHERE = -1  # the label of an image that is not counted


class Statistics(lightning.Callback):
    """Makes the running statistics of batch norms, after each step, their mean over ranks.

    Ranks normalise their own micro-batches, as torchvision's and timm's recipes do, so each sees other statistics; the
    mean is what is evaluated and what a checkpoint holds. A mean that is not finite is not taken: the guard skips the
    step of such a batch, and its statistics would spoil every evaluation from there on.
    """

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take those of the initial weights, or of the checkpoint; a network without such norms has none."""
        self.statistics = statistics(_classifier(pl_module).network)
        self.last = flat(self.statistics) if self.statistics else None

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Share those of this step."""
        if self.last is not None and at_step(trainer, batch_idx):
            self.last = share(self.statistics, self.last)


class Averaging(lightning.Callback):
    """Moves the averaged weights towards the trained ones after each step, by ``1 - decay`` of the way.

    Both begin with the same values, since the strategy fills every network of a module alike.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Follow the step."""
        module = _classifier(pl_module)
        if module.averaged and at_step(trainer, batch_idx):
            follow(module.averaged, module.network, self.decay)


class ImageValidation(Validation):
    """Classifies the validation images every so many steps and at the end.

    Logs their mean cross-entropy in nats, without smoothing or mixing whatever is minimised, and the shares that are
    right at the first and among the first five answers; writes ``validation.npy``, ``(evaluations, images)`` in nats.
    Images that cannot be read are in neither: the same files for every run, so that runs stay paired.
    """

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Evaluate if it is time."""
        if not due(trainer, batch_idx, self.every):
            return
        with paused(trainer, pl_module):
            losses, accuracies = evaluate(trainer.datamodule, _classifier(pl_module))  # type: ignore[attr-defined]
        self.keep(trainer, losses, **accuracies)

    def keep(self, trainer: lightning.Trainer, losses: np.ndarray[Any, Any], **others: float) -> None:
        """Add one evaluation, of as many images as those before."""
        if self.losses and len(losses) != len(self.losses[0]):
            raise DataError(
                f"{len(losses)} validation images can be read, but {len(self.losses[0])} when this run was first "
                "validated: expected the same files throughout a run"
            )
        super().keep(trainer, losses, **others)


def evaluate(data: ImageData, module: ImageClassifier) -> tuple[np.ndarray[Any, Any], dict[str, float]]:
    """Cross-entropy of each validation image that can be read, in order, and ``top1`` and ``top5``; on every rank."""
    classes = module.recipe.model.classes
    accuracies = {name: _accuracy(classes, k).to(module.device) for name, k in (("top1", 1), ("top5", 5))}
    losses, counted = [], []
    for logits, labels, present in _classified(data, module):
        losses.append(F.cross_entropy(logits, labels, reduction="none"))
        counted.append(present)
        for accuracy in accuracies.values():
            accuracy.update(logits, labels.where(present, NOWHERE))
    every, seen = of_all_ranks(torch.cat(losses)), of_all_ranks(torch.cat(counted))
    return every[seen].cpu().numpy(), {name: accuracy.compute().item() for name, accuracy in accuracies.items()}


def _classified(data: ImageData, module: ImageClassifier) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Logits, labels, and which of them count, of this rank's batches."""
    module.eval()
    for batch in data.validation_batches():
        images, labels, present = (tensor.to(module.device, non_blocking=True) for tensor in batch)
        yield module.classify(images), labels, present
    module.train()


def _accuracy(classes: int, k: int) -> MulticlassAccuracy:
    """The share of images whose class is among the first ``k`` answers; it adds up over ranks."""
    return MulticlassAccuracy(
        classes, top_k=min(k, classes), average="micro", ignore_index=NOWHERE, validate_args=False
    )


def _classifier(module: lightning.LightningModule) -> ImageClassifier:
    assert isinstance(module, ImageClassifier)
    return module
