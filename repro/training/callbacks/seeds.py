"""Randomness inside a step, for the activations that draw numbers (the randomised leaky ReLU)."""

import hashlib
from typing import Any

import lightning
import torch


class StepSeed(lightning.Callback):
    """Seeds each micro-batch from (seed, its number, rank), as an uninterrupted run and a resumed one both do."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed torch."""
        digest = hashlib.sha256(f"{self.seed}/{batch_idx}/{trainer.global_rank}".encode()).digest()
        torch.manual_seed(int.from_bytes(digest[:8], "little") >> 1)
