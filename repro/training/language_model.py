"""Next-token training: the loss and the optimizer."""

from collections.abc import Callable, Sequence
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from repro.models.attention import documents
from repro.models.loss import IGNORED
from repro.models.moe import Routing
from repro.models.transformer import Loss
from repro.recipe.schema import Optim
from repro.training.optimizer import adamw
from repro.training.schedule import cosine_with_warmup


class LanguageModel(lightning.LightningModule):
    """Trains a decoder on packed tokens.

    Knows the loss and the optimizer; does not know the architecture, the data or the machine.

    Args:
        decoder: called with tokens and targets, both ``(batch, seq)``, gives a :class:`repro.models.transformer.Loss`.
        optim: rates, decays and warm-up of the recipe.
        warmup_steps: optimizer steps to the peak rate.
        total_steps: optimizer steps to the end of the cosine.
        auxiliary: the loss that routers add, where there are any.
        left_out: which windows, by their inputs ``(batch, seq)``, count for nothing in the cross-entropy that is
            trained on, though they are divided by; none, if there is no filter.
        document_end: the id that ends a document, which attention then does not look past; None lets it.
    """

    def __init__(
        self,
        decoder: nn.Module,
        optim: Optim,
        *,
        warmup_steps: int,
        total_steps: int,
        auxiliary: Callable[[Sequence[Routing]], Tensor] | None = None,
        left_out: Callable[[Tensor], Tensor] | None = None,
        document_end: int | None = None,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.optim = optim
        self.warmup_steps, self.total_steps = warmup_steps, total_steps
        self.auxiliary, self.left_out, self.document_end = auxiliary, left_out, document_end

    def training_step(self, batch: Tensor) -> dict[str, Any]:
        """What is minimised on windows ``(batch, seq + 1)``, the part of it that is the mean loss in nats per token,
        and what the routers did.
        """
        tokens, targets = _shifted(batch)
        if self.left_out:
            targets = targets.masked_fill(self.left_out(tokens)[:, None], IGNORED)
        losses = self._losses(tokens, targets)
        loss = losses.mean + self.auxiliary(losses.routing) if self.auxiliary else losses.mean
        return {"loss": loss, "cross_entropy": losses.mean.detach(), "routing": losses.routing}

    @torch.no_grad()
    def sequence_losses(self, batch: Tensor) -> Tensor:
        """Loss of each window in nats per token: ``(batch, seq + 1)`` to ``(batch,)``."""
        return self._losses(*_shifted(batch)).tokens.mean(dim=-1)

    def _losses(self, tokens: Tensor, targets: Tensor) -> Loss:
        within = () if self.document_end is None else (documents(tokens, self.document_end),)
        losses: Loss = self.decoder(tokens, targets, *within)
        return losses

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW and a cosine, stepped with the optimizer."""
        optimizer = adamw(self.decoder, self.optim)
        floor = self.optim.min_lr / self.optim.lr
        fraction = cosine_with_warmup(warmup=self.warmup_steps, total=self.total_steps, floor=floor)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, fraction)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _shifted(batch: Tensor) -> tuple[Tensor, Tensor]:
    ids = batch.long()  # shards hold 16 bits a token; they widen here, on the device
    return ids[:, :-1], ids[:, 1:]
