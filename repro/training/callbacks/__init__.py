"""What happens around a training step.

After a step they act in this order: metrics, validation, saving, interruption, and what takes long enough to be stopped
in. So a checkpoint of a step is written when all that belongs to the step is, but for what can be computed from the
checkpoint itself, as results of tasks can: a run that goes on from there makes up for what is missing.
"""

import lightning


def at_step(trainer: lightning.Trainer, batch_idx: int) -> bool:
    """Whether this micro-batch completed an optimizer step."""
    return (batch_idx + 1) % trainer.accumulate_grad_batches == 0


def due(trainer: lightning.Trainer, batch_idx: int, every: int) -> bool:
    """Whether this micro-batch completed a step that is a multiple of ``every``, or the last one."""
    return at_step(trainer, batch_idx) and (
        trainer.global_step % every == 0 or trainer.global_step == trainer.max_steps
    )
