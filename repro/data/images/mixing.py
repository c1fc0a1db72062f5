"""What is done to a batch on its device: normalisation, targets, mixup and cutmix."""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.data.images.draws import draws

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's training images, red, green, blue, of 1; torchvision's and timm's values
STD = (0.229, 0.224, 0.225)


def normalise(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """``(x / 255 - MEAN) / STD`` for uint8 images ``(batch, 3, height, width)``, channels last in memory."""
    scale, offset = _constants(images.device, dtype)
    return torch.addcmul(offset, images.to(dtype, memory_format=torch.channels_last), scale)


@cache
def _constants(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Kept for each device, since a copy to it at every step would wait for it."""
    mean, std = (torch.tensor(values, dtype=torch.float64).view(3, 1, 1) for values in (MEAN, STD))
    return (1 / (255 * std)).to(device, dtype), (-mean / std).to(device, dtype)


def targets(labels: Tensor, classes: int, smoothing: float = 0.0) -> Tensor:
    """``1 - smoothing`` for the label plus ``smoothing / classes`` for each class, ``(batch, classes)``."""
    return F.one_hot(labels, classes).float() * (1 - smoothing) + smoothing / classes


def mix(
    images: Tensor, targets: Tensor, *, mixup: float, cutmix: float, seed: int, step: int, part: int = 0
) -> tuple[Tensor, Tensor]:
    """Each image mixed with the one before it in the batch, and its targets by the same share.

    Mixup (Zhang et al. 2017) takes ``share`` of an image and ``1 - share`` of the other; cutmix (Yun et al. 2019) puts
    a rectangle of the other into it, and ``share`` is what is left. With both on, a coin decides for each batch, as in
    timm. There is one share a batch, drawn without the device as a function of (seed, step, part).

    Args:
        images: float, ``(batch, 3, height, width)``; not changed.
        targets: ``(batch, classes)``.
        mixup: the beta distribution's parameter; 0 is off.
        cutmix: the same for cutmix.
        seed: of the run.
        step: the optimizer step.
        part: which of the step's micro-batches on all ranks this is, so that each has a share of its own.
    """
    if not (mixup or cutmix):
        return images, targets
    rng = draws("mix", seed, step, part)
    cut = bool(cutmix) and (not mixup or rng.random() < 0.5)
    share = float(rng.beta(cutmix, cutmix) if cut else rng.beta(mixup, mixup))
    other, others_targets = _before(images), _before(targets)
    if not cut:
        return torch.lerp(other, images, share), torch.lerp(others_targets, targets, share)
    top, bottom = _interval(images.shape[2], share, rng.random())
    left, right = _interval(images.shape[3], share, rng.random())
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = other[:, :, top:bottom, left:right]
    left_over = 1 - (bottom - top) * (right - left) / (images.shape[2] * images.shape[3])
    return mixed, torch.lerp(others_targets, targets, left_over)


def _before(batch: Tensor) -> Tensor:
    """Each item's predecessor, in the batch's own memory format (``roll`` loses it on a GPU)."""
    return torch.cat([batch[-1:], batch[:-1]])


def _interval(side: int, share: float, middle: float) -> tuple[int, int]:
    """A side of cutmix's rectangle, which covers ``1 - share`` of the image before it is cut off at its edges."""
    half, centre = side * (1 - share) ** 0.5 / 2, side * middle
    return max(0, round(centre - half)), min(side, round(centre + half))
