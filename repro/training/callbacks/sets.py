"""Validation losses on sets beside the run's own, each subset apart: curves such as the paper's Figure 3."""

from typing import Any

import lightning
import numpy as np

from repro.data.text import TextData
from repro.training.callbacks import due
from repro.training.callbacks.metrics import log, paused
from repro.training.callbacks.validation import evaluate
from repro.training.events import write_text
from repro.training.language_model import LanguageModel


class Sets(lightning.Callback):
    """Evaluates the other sets every so many steps and at the end.

    Logs the mean loss of each subset in nats per token as ``validation/<set>/<subset>``, and a table of them.
    """

    def __init__(self, every: int) -> None:
        self.every = every

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Evaluate if it is time."""
        if not due(trainer, batch_idx, self.every):
            return
        assert isinstance(pl_module, LanguageModel)
        data: TextData = trainer.datamodule  # type: ignore[attr-defined]
        with paused(trainer, pl_module):
            losses = [_mean(evaluate(data, sample, pl_module)) for sample in data.samples]
        log(trainer, {sample.tag: loss for sample, loss in zip(data.samples, losses, strict=True)})
        write_text(trainer, "evaluation/sets", _table(data, losses))


def _mean(losses: np.ndarray[Any, Any]) -> float:
    return float(losses.mean(dtype=np.float64))


def _table(data: TextData, losses: list[float]) -> str:
    rows = [
        f"| {sample.set} | {sample.subset} | {sample.sequences:,} | {loss:.4f} |"
        for sample, loss in zip(data.samples, losses, strict=True)
    ]
    return "\n".join(["| set | subset | sequences | nats per token |", "|---|---|---|---|", *rows])
