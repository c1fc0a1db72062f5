"""Validation losses, kept per sequence, so that two runs can be compared item by item."""

import io
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from repro.data.text import Sample, TextData
from repro.paths import write_whole
from repro.training.callbacks import due
from repro.training.callbacks.metrics import log, paused
from repro.training.language_model import LanguageModel


class Validation(lightning.Callback):
    """Evaluates every so many steps and at the end; writes ``validation.npy``, ``(evaluations, sequences)`` in nats.

    Our own loop rather than Lightning's, which starts an evaluation when a run is asked to stop and loses one that was
    due at the step of a checkpoint.
    """

    def __init__(self, path: Path, *, every: int) -> None:
        self.path, self.every = path, every
        self.losses: list[np.ndarray[Any, Any]] = []

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Forget what was evaluated after the checkpoint that this run resumes from."""
        done = trainer.global_step // self.every
        self.losses = list(np.load(self.path)[:done]) if self.path.is_file() else []

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Evaluate if it is time."""
        if not due(trainer, batch_idx, self.every):
            return
        assert isinstance(pl_module, LanguageModel)
        data: TextData = trainer.datamodule  # type: ignore[attr-defined]
        with paused(trainer, pl_module):
            losses = evaluate(data, data.held_out, pl_module)
        self.keep(trainer, losses)

    def keep(self, trainer: lightning.Trainer, losses: np.ndarray[Any, Any], **others: float) -> None:
        """Add one evaluation to ``validation.npy``, and log its mean with ``others``."""
        self.losses.append(losses)
        if trainer.is_global_zero:
            file = io.BytesIO()
            np.save(file, np.stack(self.losses))
            write_whole(self.path, file.getvalue())
        log(trainer, {"validation_loss": float(losses.mean(dtype=np.float64)), **others})


def evaluate(data: TextData, sample: Sample, module: LanguageModel) -> np.ndarray[Any, Any]:
    """Loss of each sequence of ``sample`` in nats per token, ``(sequences,)``, on every rank."""
    mine = torch.cat([module.sequence_losses(batch.to(module.device)) for batch in data.validation_batches(sample)])
    return of_all_ranks(mine)[: sample.sequences].cpu().numpy()  # the last rank's share is padded


def of_all_ranks(mine: Tensor) -> Tensor:
    """``mine`` of every rank, one after the other; each has as many."""
    if not dist.is_initialized():
        return mine
    every = mine.new_empty(dist.get_world_size() * len(mine))
    dist.all_gather_into_tensor(every, mine)
    return every
