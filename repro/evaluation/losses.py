"""Losses of a language model on a prepared set, document by document: shared out over ranks, and restartable."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from repro.evaluation.documents import Documents, Numbers
from repro.evaluation.parts import Kept
from repro.evaluation.ranks import rank, world_size
from repro.evaluation.subject import Subject
from repro.models.attention import documents
from repro.models.loss import IGNORED

AT_A_TIME = {"cpu": 2**12, "cuda": 2**15}  # tokens of a forward pass; a GPU's logits are made by chunks
BATCHES = 4  # of each rank, after which what is done is kept


@dataclass(frozen=True)
class Losses:
    """Of the documents that were evaluated, or of what was of each, in order.

    Attributes:
        numbers: of the documents, ``(documents,)``.
        nats: the sum over each one's tokens, float64.
        tokens: of each, its end of text included.
    """

    numbers: Numbers
    nats: NDArray[np.float64]
    tokens: Numbers

    @classmethod
    def none(cls) -> "Losses":
        """Of no documents."""
        return cls(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))

    def and_then(self, numbers: Numbers, nats: NDArray[np.float64], tokens: Numbers) -> "Losses":
        """With parts of documents, which may go on with the last one."""
        every, place = np.unique(np.append(self.numbers, numbers), return_inverse=True)
        sums = np.bincount(place, np.append(self.nats, nats), len(every)).astype(np.float64)
        return Losses(every, sums, np.bincount(place, np.append(self.tokens, tokens), len(every)).astype(np.int64))


def evaluate(subject: Subject, of: Documents, *, kept: Kept, told: Callable[[int], None]) -> Losses:
    """The losses of a set, the same to rounding on any number of ranks; every rank gets those of all.

    Args:
        subject: the model, whole on each rank.
        of: the set.
        kept: what is done so far, which stays when all is done.
        told: called with tokens as they are done.
    """
    arrays = kept.read()
    done, losses = (int(arrays["done"]), _losses(arrays)) if arrays else (0, Losses.none())
    told(int(losses.tokens.sum()))
    block = BATCHES * _windows_at_a_time(subject) * world_size()
    while done < len(of.wanted):
        windows = of.wanted[done : done + block]
        for own in _of_all_ranks(_evaluated(subject, of, np.array_split(windows, world_size())[rank()])):
            losses = losses.and_then(*own)
            told(int(own[2].sum()))
        done += len(windows)
        kept.write(done=np.array(done), numbers=losses.numbers, nats=losses.nats, tokens=losses.tokens)
    return losses


def _losses(arrays: dict[str, NDArray[Any]]) -> Losses:
    return Losses(arrays["numbers"], arrays["nats"], arrays["tokens"])


def _evaluated(subject: Subject, of: Documents, windows: Numbers) -> tuple[Numbers, NDArray[np.float64], Numbers]:
    """Numbers of documents, sums and tokens of what ``windows`` hold of them."""
    found = Losses.none()
    size = _windows_at_a_time(subject)
    for start in range(0, len(windows), size):
        inputs, targets, numbers = _batch(of, windows[start : start + size], subject.bos_id)
        losses = token_losses(subject, inputs, targets, of.prepared.manifest.eos_id)
        counted = targets != IGNORED
        nats = losses[counted].double().numpy()
        found = found.and_then(numbers[counted.numpy()], nats, np.ones(len(nats), np.int64))
    return found.numbers, found.nats, found.tokens


def _batch(of: Documents, windows: Numbers, bos_id: int) -> tuple[Tensor, Tensor, Numbers]:
    """Inputs, targets and the document of each target, ``(windows, context)``; short ones are filled up, uncounted."""
    shape = (len(windows), of.context)
    inputs, targets = torch.full(shape, bos_id), torch.full(shape, IGNORED)
    numbers = np.zeros(shape, np.int64)
    for row, number in enumerate(windows.tolist()):
        window = of.window(number)
        n, ids = len(window.tokens), torch.from_numpy(window.tokens.astype(np.int64))
        inputs[row, 0] = bos_id if window.before is None else window.before
        inputs[row, 1:n], targets[row, :n], numbers[row, :n] = ids[:-1], ids, window.documents
    return inputs, targets, numbers


@torch.no_grad()
def token_losses(subject: Subject, inputs: Tensor, targets: Tensor, document_end: int) -> Tensor:
    """The loss of each target in nats, ``(batch, seq)`` float32 on the CPU; attention as in training."""
    inputs, targets = inputs.to(subject.device), targets.to(subject.device)
    within = (documents(inputs, document_end),) if subject.within_documents else ()
    losses: Tensor = subject.network(inputs, targets, *within).tokens
    return losses.cpu()


def _windows_at_a_time(subject: Subject) -> int:
    return max(1, AT_A_TIME[subject.device.type] // subject.context)


def _of_all_ranks(own: tuple[Numbers, NDArray[np.float64], Numbers]) -> list[Any]:
    if not dist.is_initialized():
        return [own]
    every: list[Any] = [None] * world_size()
    dist.all_gather_object(every, own)
    return every
