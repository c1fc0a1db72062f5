"""What happens around a training step. Callbacks act in this order: guard, metrics, validation, saving, interruption."""

import lightning


def at_step(trainer: lightning.Trainer, batch_idx: int) -> bool:
    """Whether this micro-batch completed an optimizer step."""
    return (batch_idx + 1) % trainer.accumulate_grad_batches == 0


def due(trainer: lightning.Trainer, batch_idx: int, every: int) -> bool:
    """Whether this micro-batch completed a step that is a multiple of ``every``, or the last one."""
    return at_step(trainer, batch_idx) and (trainer.global_step % every == 0 or trainer.global_step == trainer.max_steps)
