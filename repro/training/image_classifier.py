"""Training of an image classifier: the loss and the optimizer."""

from copy import deepcopy
from typing import Any

import lightning
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from repro.data.images.mixing import mix, normalise, targets
from repro.recipe.images import ImageRecipe
from repro.training import image_optimizer

PRESENT = 0.2  # share above which a class counts as present in a mixed image: timm's A3 (bce_target_thresh)

Batch = tuple[Tensor, Tensor]  # images, uint8 (batch, 3, height, width), and labels, int64 (batch,)


class ImageClassifier(lightning.LightningModule):
    """Trains a network on labelled images.

    Knows the loss and the optimizer; does not know the architecture, the data or the machine. Under a recipe with
    ``ema`` it holds a second network, ``averaged``, for which :class:`repro.training.callbacks.images.Averaging` cares.

    Args:
        network: images ``(batch, 3, height, width)`` to logits ``(batch, classes)``.
        recipe: its optimizer, augmentation on the device, number of classes, epochs and precision.
        seed: of mixup and cutmix.
    """

    def __init__(self, network: nn.Module, recipe: ImageRecipe, *, seed: int) -> None:
        super().__init__()
        self.network = network
        self.averaged = deepcopy(network).requires_grad_(False) if recipe.optim.ema else None
        self.recipe, self.seed = recipe, seed

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """What is minimised on a micro-batch, and the same without a graph."""
        parts = self.trainer.accumulate_grad_batches
        part = self.trainer.global_rank * parts + batch_idx % parts  # its place in the step, however that is shared out
        loss = self.loss(*batch, step=self.trainer.global_step, part=part)
        return {"loss": loss, "cross_entropy": loss.detach()}

    def loss(self, images: Tensor, labels: Tensor, *, step: int, part: int) -> Tensor:
        """Mean loss of a micro-batch, mixed as a function of (seed, step, part)."""
        data, optim = self.recipe.data, self.recipe.optim
        mixed, wanted = mix(
            normalise(images),
            targets(labels, self.recipe.model.classes, optim.label_smoothing),
            mixup=data.mixup,
            cutmix=data.cutmix,
            seed=self.seed,
            step=step,
            part=part,
        )
        function = binary_cross_entropy if optim.loss == "binary" else F.cross_entropy
        return function(self._logits(self.network, mixed), wanted)

    @torch.no_grad()
    def classify(self, images: Tensor) -> Tensor:
        """Logits ``(batch, classes)`` of uint8 images, by the averaged weights where there are any."""
        return self._logits(self.averaged or self.network, normalise(images))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The recipe's optimizer and schedule, stepped together."""
        optimizer = image_optimizer.optimizer(self.network, self.recipe.optim)
        fraction = image_optimizer.schedule(
            self.recipe.optim, epochs=self.recipe.budget.epochs, steps_per_epoch=self.recipe.steps_per_epoch
        )
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, fraction)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _logits(self, network: nn.Module, images: Tensor) -> Tensor:
        """In float32. Autocast rather than weights in bfloat16: a norm's scale and statistics stay as they are."""
        bf16 = self.recipe.precision == "bf16" and images.is_cuda
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
            logits: Tensor = network(images)
        return logits.float()


def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over images and classes of one yes or no a class; yes for every class with a share above ``PRESENT``.

    Wightman et al. 2021 (arXiv 2110.00476) on mixed images: each class that is in one is wanted whole. timm's published
    A3 draws the line at 0.2 and takes the mean over classes too.
    """
    return F.binary_cross_entropy_with_logits(logits, (targets > PRESENT).to(logits.dtype))
