"""When to write a checkpoint, and how to stop at a step's border."""

import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

import lightning
import torch
import torch.distributed as dist

from repro.errors import Preempted, ReproError
from repro.recipe.schema import Checkpoints
from repro.training import checkpoints
from repro.training.callbacks import at_step, due
from repro.training.callbacks.metrics import EVERY
from repro.training.ranks import by_torchrun
from repro.training.strategy import DistributedCheckpoints


class Saving(lightning.Callback):
    """Writes a checkpoint by steps, by time and at the end, while training goes on; keeps the newest and milestones.

    Args:
        folder: where they go.
        when: how often, and how many to keep.
        recipe: the fingerprint that each carries.
    """

    def __init__(self, folder: Path, when: Checkpoints, *, recipe: str) -> None:
        self.folder, self.when, self.recipe = folder, when, recipe
        self.saved_at = time.monotonic()
        self.saved_step = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Sweep up after a process that was killed while it saved."""
        self.saved_step = trainer.global_step
        if trainer.is_global_zero:
            checkpoints.sweep(self.folder)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time."""
        if due(trainer, batch_idx, self.when.every) or (due(trainer, batch_idx, EVERY) and self._late(trainer)):
            self.save(trainer)

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Mark the checkpoint with the recipe that it belongs to."""
        checkpoint["recipe"] = self.recipe

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Count the micro-batches done as this machine would have made them: the last one may have made others."""
        done = checkpoint["global_step"] * trainer.accumulate_grad_batches
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        for count in (progress["current"], progress["total"]):  # a checkpoint is written before its batch is completed
            count |= {"ready": done, "started": done, "processed": done, "completed": done - 1}

    def _late(self, trainer: lightning.Trainer) -> bool:
        return trainer.strategy.broadcast(time.monotonic() - self.saved_at > 60 * self.when.minutes)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Wait for the last checkpoint."""
        self.finish(trainer)

    def save(self, trainer: lightning.Trainer) -> None:
        """Begin the checkpoint of the current step, unless it is there, once the one before is whole."""
        if self.saved_step == trainer.global_step:
            return
        self.finish(trainer)
        path = self.folder / checkpoints.name(trainer.global_step)
        if trainer.is_global_zero and path.exists():
            checkpoints.remove(path)  # incomplete, or this run would have begun there
        trainer.save_checkpoint(path)
        self.saved_at, self.saved_step = time.monotonic(), trainer.global_step

    def finish(self, trainer: lightning.Trainer) -> None:
        """Wait for the checkpoint that was begun, and drop the oldest ones.

        Raises:
            RunError: on all ranks, if it could not be written.
        """
        assert isinstance(trainer.strategy, DistributedCheckpoints)
        trainer.strategy.finish_saving()
        if trainer.is_global_zero:
            passing = [path for path in checkpoints.complete(self.folder) if not self._is_milestone(path)]
            for old in passing[: -self.when.keep]:
                checkpoints.remove(old)

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Let the checkpoint that was begun become whole: the ranks end, and with them the threads that write it."""
        strategy = trainer.strategy
        if isinstance(exception, ReproError) and isinstance(strategy, DistributedCheckpoints) and strategy.writing:
            strategy.writing.settle()

    def _is_milestone(self, path: Path) -> bool:
        return self.when.milestones is not None and checkpoints.step_of(path) % self.when.milestones == 0


class Interruption(lightning.Callback):
    """Turns Ctrl-C, SIGTERM and SIGUSR1 into a checkpoint at the end of the step.

    The handler only sets a flag: nothing collective runs inside it. A second Ctrl-C stops at once.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

    def __init__(self, saving: Saving) -> None:
        self.saving = saving
        self.asked = False
        self.before: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take over the signals, after Lightning has set its own handlers."""
        self.before = {number: signal.signal(number, self._ask) for number in self.SIGNALS}
        # Lightning asks all ranks for its own flag before every micro-batch, which waits for the device.
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Give the signals back."""
        self._restore()

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Give the signals back, however training ended."""
        self._restore()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and stop if a signal came to any rank.

        Raises:
            Preempted: the checkpoint is written.
        """
        if at_step(trainer, batch_idx):
            self.heed(trainer)

    def heed(self, trainer: lightning.Trainer) -> None:
        """Save and stop if a signal came to any rank; between two steps, all ranks together.

        Raises:
            Preempted: the checkpoint is written.
        """
        if not _any_rank(trainer, self.asked):
            return
        self.saving.save(trainer)
        self.saving.finish(trainer)
        step, last = trainer.global_step, trainer.max_steps
        raise Preempted(f"stopped after step {step:,} of {last:,}, which is saved; the same command goes on from there")

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT and not by_torchrun():  # which hands on what they got already
            raise Preempted("stopped at once; the same command goes on from the last checkpoint, if there is one")
        self.asked = True

    def _restore(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}


def heed_signals(trainer: lightning.Trainer) -> None:
    """For what takes long between two steps, so that a stop is not waited for.

    Raises:
        Preempted: as :meth:`Interruption.heed` does.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, Interruption):
            callback.heed(trainer)


def _any_rank(trainer: lightning.Trainer, flag: bool) -> bool:
    if trainer.world_size == 1:
        return flag
    value = torch.tensor(int(flag))  # on the host, or the GPU's queue would be waited for
    dist.all_reduce(value, dist.ReduceOp.MAX)
    return bool(value)
