"""Never train into NaN."""

import math
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from repro.errors import Diverged
from repro.recipe.schema import Guard


class GradientGuard(lightning.Callback):
    """Clips the gradient by its global norm and skips steps whose norm is not finite or explodes.

    A skipped step leaves weights and moments untouched, counts, and uses up its data and its place in the schedule, as
    in Megatron. The norm is that of all ranks, so all of them skip together.
    """

    def __init__(self, *, clip: float, guard: Guard) -> None:
        self.clip, self.guard = clip, guard
        self.norm = math.nan  # of the latest step, before clipping
        self.typical: float | None = None  # running mean of the norms that were accepted
        self.skipped = 0
        self.skipped_in_a_row = 0

    def on_before_optimizer_step(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, optimizer: Optimizer
    ) -> None:
        """Clip, or drop the gradient.

        Raises:
            Diverged: more steps in a row were skipped than the recipe allows.
        """
        self.norm = _number(torch.nn.utils.clip_grad_norm_(pl_module.parameters(), self.clip))
        if self._sound():
            self.typical = self.norm if self.typical is None else 0.99 * self.typical + 0.01 * self.norm
            self.skipped_in_a_row = 0
            return
        optimizer.zero_grad(set_to_none=True)  # AdamW passes over parameters without a gradient
        self.skipped += 1
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row > self.guard.patience:
            raise Diverged(
                f"stopped at step {trainer.global_step + 1}: {self.skipped_in_a_row} steps in a row had a gradient "
                f"that was not finite or exploded (norm {self.norm:g}); a lower lr is the first thing to try",
                since=trainer.global_step + 2 - self.skipped_in_a_row,
            )

    def _sound(self) -> bool:
        return math.isfinite(self.norm) and (self.typical is None or self.norm <= self.guard.spike * self.typical)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to judge the next norm as the uninterrupted one would."""
        return {"typical": self.typical, "skipped": self.skipped, "skipped_in_a_row": self.skipped_in_a_row}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on judging where the checkpoint left off."""
        self.typical, self.skipped = state_dict["typical"], state_dict["skipped"]
        self.skipped_in_a_row = state_dict["skipped_in_a_row"]


def _number(norm: Tensor) -> float:
    return (norm.full_tensor() if isinstance(norm, DTensor) else norm).item()
