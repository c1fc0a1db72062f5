"""Validation losses, kept per sequence, so that two runs can be compared item by item."""

import io
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch

from repro.data.text import TextData
from repro.paths import write_whole
from repro.training.callbacks import due
from repro.training.callbacks.metrics import log
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
        self.losses.append(_evaluate(trainer, pl_module))
        if trainer.is_global_zero:
            file = io.BytesIO()
            np.save(file, np.stack(self.losses))
            write_whole(self.path, file.getvalue())
        log(trainer, {"validation_loss": float(self.losses[-1].mean(dtype=np.float64))})


def _evaluate(trainer: lightning.Trainer, module: LanguageModel) -> np.ndarray[Any, Any]:
    data: TextData = trainer.datamodule  # type: ignore[attr-defined]
    module.eval()
    mine = torch.cat([module.sequence_losses(batch.to(module.device)) for batch in data.validation_batches()])
    module.train()
    every_rank = trainer.strategy.all_gather(mine).flatten()  # the last rank's share is padded
    return every_rank[: data.validation_sequences].cpu().numpy()
