"""Loss, throughput and rate, averaged over a few steps and given to every logger."""

import contextlib
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from repro.errors import Diverged
from repro.models.parameters import kinds
from repro.training.callbacks import at_step, due
from repro.training.callbacks.guard import GradientGuard

EVERY = 10  # steps a row; reading the loss waits for the device


@dataclass(frozen=True)
class Unit:
    """What a run goes through: ``tokens`` or ``samples``, how many a step, and the training FLOPs of one."""

    name: str
    a_step: int
    flops: float


class Metrics(lightning.Callback):
    """Logs the first step, then a row every :data:`EVERY` steps: means over the steps since the last row.

    Of a run that diverges the last row is that of the step that it stopped at, with the loss of the steps before.

    Args:
        guard: knows the gradient's norm.
        unit: what is counted; of tokens, attention is counted causally.
        peak_flops: of all devices together, per second; None where a share of peak means nothing, as on a CPU.
    """

    def __init__(self, guard: GradientGuard, *, unit: Unit, peak_flops: float | None) -> None:
        self.guard, self.unit, self.peak_flops = guard, unit, peak_flops
        self.loss_sum: Tensor | float = 0.0
        self.steps = 0
        self.steps_timed = 0
        self.started: float | None = None

    def on_train_batch_start(self, *_: Any) -> None:
        """Start the clock with the first batch of a row: what happens between two rows is not counted."""
        if self.started is None:
            self.started = time.perf_counter()

    def interrupt(self) -> None:
        """Time only the steps to come: what an evaluation took is not theirs."""
        self.steps_timed, self.started = 0, None

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Tensor | Mapping[str, Any] | None,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Add the loss, without waiting for it, and log when a row is full."""
        assert isinstance(outputs, Mapping)
        self.loss_sum = self.loss_sum + outputs["cross_entropy"] / trainer.accumulate_grad_batches
        if at_step(trainer, batch_idx):
            self.steps += 1
            self.steps_timed += 1
        if due(trainer, batch_idx, EVERY) or (at_step(trainer, batch_idx) and trainer.global_step == 1):
            log(trainer, self._row(trainer))
            self.loss_sum, self.steps, self.steps_timed, self.started = 0.0, 0, 0, None

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Log where a run diverged, which every rank finds at the same step."""
        if isinstance(exception, Diverged):
            step = trainer.global_step + 1
            log(trainer, self._state(trainer, step), step=step)

    def _row(self, trainer: lightning.Trainer) -> dict[str, float]:
        assert self.started is not None
        rate = self.steps_timed * self.unit.a_step / (time.perf_counter() - self.started)
        row = self._state(trainer, trainer.global_step) | {f"{self.unit.name}_per_second": rate}
        return row | ({"mfu": rate * self.unit.flops / self.peak_flops} if self.peak_flops else {})

    def _state(self, trainer: lightning.Trainer, step: int) -> dict[str, float]:
        """What holds at ``step``, without speeds; without a loss where none was computed since the last row."""
        loss = _mean_over_ranks(trainer, self.loss_sum)
        return {
            self.unit.name: step * self.unit.a_step,
            **({"loss": loss / self.steps} if self.steps else {}),
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "grad_norm": self.guard.norm,
            "skipped_steps": self.guard.skipped,
            "memory_gb": peak_memory(trainer.strategy.root_device),
        }

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the unfinished row, so that a resumed run logs the same means. Every rank takes part."""
        checkpoint["row"] = {"loss_sum": _mean_over_ranks(trainer, self.loss_sum), "steps": self.steps}

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on with the row that the checkpoint interrupted."""
        row = checkpoint["row"]
        self.loss_sum, self.steps = torch.tensor(row["loss_sum"], device=trainer.strategy.root_device), row["steps"]


class Coefficients(lightning.Callback):
    """Logs what each activation has learned, every so many steps, as ``coefficients/<layer>/<index>``."""

    def __init__(self, every: int) -> None:
        self.every = every

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Gather the few scalars of each layer."""
        if not due(trainer, batch_idx, self.every):
            return
        values: dict[str, float] = {}
        kind = kinds(pl_module)
        for name, parameter in pl_module.named_parameters():
            if kind[name] == "coefficients" and parameter.requires_grad:  # not those of an average
                whole = parameter.full_tensor() if isinstance(parameter, DTensor) else parameter
                layer = name.partition(".")[2].removesuffix(".coeff")
                values |= {f"coefficients/{layer}/{i}": a for i, a in enumerate(whole.detach().flatten().tolist())}
        log(trainer, values)


def log(trainer: lightning.Trainer, values: dict[str, float], *, step: int | None = None) -> None:
    """Give ``values`` to every logger, at ``step`` or the current optimizer step."""
    for logger in trainer.loggers:
        logger.log_metrics(values, step=trainer.global_step if step is None else step)


@contextlib.contextmanager
def paused(trainer: lightning.Trainer, module: lightning.LightningModule) -> Iterator[None]:
    """Between two steps: in evaluation mode, without gradients, and outside what is timed."""
    module.eval()
    with torch.no_grad():
        yield
    module.train()
    for metrics in (callback for callback in trainer.callbacks if isinstance(callback, Metrics)):  # type: ignore[attr-defined]
        metrics.interrupt()


def peak_memory(device: torch.device) -> float:
    """The most memory that this process has held so far, in 10^9 bytes: on the GPU, or resident on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def _mean_over_ranks(trainer: lightning.Trainer, value: Tensor | float) -> float:
    mean = trainer.strategy.reduce(torch.as_tensor(value, device=trainer.strategy.root_device), reduce_op="mean")
    return float(mean)
