"""How evenly the routers use their experts."""

from collections.abc import Mapping
from typing import Any

import lightning
import torch
from torch import Tensor

from repro.models.balance import load_balancing, router_z
from repro.models.moe import Routing
from repro.training.callbacks import due
from repro.training.callbacks.metrics import EVERY, log


class Routers(lightning.Callback):
    """Logs the state of the routers of rank 0 on the last micro-batch of every row of metrics.

    Means over layers of the losses (unweighted) and the entropy; the largest and smallest load of an expert in units
    of an even share; and tokens dropped, which a dropless mixture never does. Per layer, to TensorBoard, the loads.

    Args:
        top_k: experts a token.
    """

    def __init__(self, top_k: int) -> None:
        self.top_k = top_k

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Tensor | Mapping[str, Any] | None,
        batch: Tensor,
        batch_idx: int,
    ) -> None:
        """Log when a row is due."""
        assert isinstance(outputs, Mapping)
        if due(trainer, batch_idx, EVERY):
            assignments = batch.shape[0] * (batch.shape[1] - 1) * self.top_k
            log(trainer, _row(outputs["routing"], self.top_k, assignments))


def _row(routing: tuple[Routing, ...], top_k: int, assignments: int) -> dict[str, float]:
    counts = torch.stack([r.counts for r in routing]).detach()
    loads = counts * counts.shape[-1] / assignments
    row = {
        "load_balancing": load_balancing(routing).item(),
        "router_z": router_z(routing, top_k).item(),
        "router_entropy": torch.stack([r.entropy for r in routing]).mean().item(),
        "largest_load": loads.max().item(),
        "smallest_load": loads.min().item(),
        "dropped_tokens": assignments * len(routing) - counts.sum(dtype=torch.float64).item(),
    }
    bounds = {"largest": loads.amax(-1).tolist(), "smallest": loads.amin(-1).tolist()}
    return row | {f"load/{i}/{name}": load for name, layers in bounds.items() for i, load in enumerate(layers)}
