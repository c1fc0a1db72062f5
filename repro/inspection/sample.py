"""What a run's network is looked at with: the same held-out text or validation images for each of its checkpoints."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.data.images.augment import TestView
from repro.data.images.mixing import normalise
from repro.data.images.order import Numbers
from repro.data.images.reading import ValidationImages
from repro.errors import DataError, RunError
from repro.evaluation.documents import Documents
from repro.evaluation.images import Images
from repro.evaluation.sets import find
from repro.models.attention import documents
from repro.recipe.images import ImageRecipe
from repro.recipe.lists import HELD_OUT
from repro.recipe.runs import is_imported
from repro.recipe.schema import LanguageRecipe
from repro.training.trained import Trained

TOKENS, IMAGES = 8192, 128  # by default
AT_A_TIME = {"cpu": 2**12, "cuda": 2**15}  # tokens of a forward pass
IMAGES_AT_A_TIME = {"cpu": 32, "cuda": 256}
Losses = Callable[[nn.Module, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Sample:
    """Windows of text, or images, that stay the same from one pass to the next.

    Attributes:
        what: in the words of a caption, such as ``8,192 held-out tokens of python-stdlib``.
        device: where networks and batches lie.
        context: targets of a window; 1 of an image.
        inputs: token ids ``(windows, context)``, or uint8 images ``(images, 3, size, size)``, on the CPU.
        targets: token ids ``(windows, context)``, or labels ``(images,)``, on the CPU.
        at_a_time: windows or images of a batch.
        loss: of each target, in nats, given a network and a batch, as training computes it.
    """

    what: str
    device: torch.device
    context: int
    inputs: Tensor
    targets: Tensor
    at_a_time: int
    loss: Losses

    @property
    def windows(self) -> int:
        """How many windows or images there are: ``losses(network).view(windows, context)`` are those of each."""
        return len(self.inputs)

    @property
    def size(self) -> int:
        """How many targets there are."""
        return self.targets.numel()

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Tokens and targets, ``(batch, context)``, or normalised images and labels, on the device."""
        for inputs, targets in zip(self.inputs.split(self.at_a_time), self.targets.split(self.at_a_time), strict=True):
            there = inputs.to(self.device)
            yield normalise(there) if there.dtype == torch.uint8 else there, targets.to(self.device)

    @torch.no_grad()
    def losses(self, network: nn.Module) -> Tensor:
        """The loss of each target in nats, window by window, ``(targets,)`` float32 on the CPU."""
        return torch.cat([self.loss(network, *batch).flatten().float().cpu() for batch in self.batches()])


def sample(of: Trained, device: torch.device, *, size: int | None = None, name: str | None = None) -> Sample:
    """What the networks of a run are looked at with.

    Args:
        of: a checkpoint of the run.
        device: that computes.
        size: targets: tokens, in whole windows, or images; by default 8,192 and 128.
        name: of the prepared set that text is taken from; by default what the run held out.

    Raises:
        DataError: what it is taken from is not here, or holds too little.
        RunError: it is not what the run was trained with, or the run was imported and no set is named.
    """
    if isinstance(of.recipe, ImageRecipe):
        return _images(of, of.recipe, device, size or IMAGES)
    assert isinstance(of.recipe, LanguageRecipe)
    if is_imported(of.folder) and name in (None, HELD_OUT):
        raise RunError(f"{of.folder} was imported, and nothing here was held out for it: name a prepared set, set=NAME")
    return _text(of, of.recipe, find(name or HELD_OUT, of, tokens=None).documents, device, size or TOKENS)


def _text(of: Trained, recipe: LanguageRecipe, source: Documents, device: torch.device, size: int) -> Sample:
    inputs, targets = _windows(source, size, of.vocabulary.first_id)
    corpus, held_out = source.prepared.manifest.corpus, source.name == HELD_OUT
    what = f"{targets.numel():,} held-out tokens of {corpus}" if held_out else f"{targets.numel():,} tokens of {corpus}"
    at_a_time = max(1, AT_A_TIME[device.type] // source.context)
    end = source.prepared.manifest.eos_id if recipe.data.document_mask else None
    return Sample(what, device, source.context, inputs, targets, at_a_time, _of_tokens(end))


def _windows(source: Documents, size: int, first_id: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets of whole windows, spread evenly over a set."""
    context = source.context
    whole = np.concatenate([np.array(stream.windows)[: len(stream.tokens) // context] for stream in source.streams])
    if not len(whole):
        raise DataError(f"{source.name} has no {context:,} tokens that follow each other, which is the run's context")
    taken = min(len(whole), max(1, size // context))
    windows = [source.window(int(number)) for number in whole[np.arange(taken) * len(whole) // taken]]
    ids = np.stack([[first_id if w.before is None else w.before, *w.tokens.tolist()] for w in windows])
    return torch.from_numpy(ids[:, :-1].copy()), torch.from_numpy(ids[:, 1:].copy())


def _of_tokens(document_end: int | None) -> Losses:
    def losses(network: nn.Module, tokens: Tensor, targets: Tensor) -> Tensor:
        within = () if document_end is None else (documents(tokens, document_end),)
        found: Tensor = network(tokens, targets, *within).tokens
        return found

    return losses


def _images(of: Trained, recipe: ImageRecipe, device: torch.device, size: int) -> Sample:
    found, data = Images.of(of), recipe.data
    taken = min(size, found.size)
    numbers = np.arange(taken) * found.size // taken  # a folder has them class by class
    view = TestView(data.test_size, data.test_resize, data.interpolation)
    images, labels, present, _ = ValidationImages(found.pictures.validation, view).__getitems__(Numbers(0, numbers))
    if not present.any():
        raise DataError(f"none of {taken} validation images of {found.pictures.name} can be read")
    what = f"{int(present.sum()):,} validation images of {found.pictures.name}"
    at_a_time, loss = IMAGES_AT_A_TIME[device.type], _of_images(recipe.precision == "bf16")
    return Sample(what, device, 1, images[present], labels[present], at_a_time, loss)


def _of_images(bf16: bool) -> Losses:
    def losses(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16 and images.is_cuda):
            logits: Tensor = network(images)
        return F.cross_entropy(logits.float(), labels, reduction="none")

    return losses


def no_sample(device: torch.device) -> Sample:
    """For what looks at weights alone."""
    return Sample("nothing", device, 1, torch.empty(0), torch.empty(0), 1, lambda *_: torch.empty(0))
