"""How large what comes out of each activation is: where no norm follows, this is what grows before a run diverges."""

from functools import partial
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from repro.training.callbacks import at_step
from repro.training.callbacks.metrics import log
from repro.training.magnitudes_file import MAGNITUDE


class Magnitudes(lightning.Callback):
    """Logs the root mean square of each activation's output, of the first step and then every so many.

    As ``magnitude/<layer>``, and the largest of them as ``largest_magnitude``. It is that of rank 0 on the step's last
    micro-batch; an activation that is called once a token is measured over all of its calls. What is not finite is
    logged as it is and stops nothing: that is the guard's part, which counts the step.

    Activations are the modules whose name begins with ``act``. They are hooked in the steps that log, from before the
    forward pass to before the backward pass, so that other steps and the validation pay nothing.

    Args:
        every: steps.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.hooks: list[RemovableHandle] = []
        self.outputs: dict[str, _Outputs] = {}

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Hook the activations if this micro-batch completes a step that logs."""
        if at_step(trainer, batch_idx) and self._logs(trainer, trainer.global_step + 1):
            self.outputs = {name: _Outputs() for name in activations(pl_module)}
            for name, module in activations(pl_module).items():
                self.hooks.append(module.register_forward_hook(partial(_add, self.outputs[name])))

    def on_before_backward(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, loss: Tensor
    ) -> None:
        """Let go of the activations: the forward pass is over."""
        for hook in self.hooks:
            hook.remove()
        self.hooks = []

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log what was seen."""
        seen = {name: output.root_mean_square() for name, output in self.outputs.items() if output.number}
        self.outputs = {}
        if seen:
            values = torch.stack(list(seen.values()))
            layers = (name.partition(".")[2] for name in seen)  # without the name of the network
            row = {f"{MAGNITUDE}{layer}": value for layer, value in zip(layers, values.tolist(), strict=True)}
            log(trainer, row | {"largest_magnitude": values.max().item()})  # of torch's, so that one nan makes it nan

    def _logs(self, trainer: lightning.Trainer, step: int) -> bool:
        return step == 1 or step % self.every == 0 or step == trainer.max_steps


def activations(module: nn.Module) -> dict[str, nn.Module]:
    """The modules whose name begins with ``act``, by their whole name."""
    return {name: part for name, part in module.named_modules() if name.rpartition(".")[2].startswith("act")}


class _Outputs:
    """What one activation gave in a step, added up where it lies; the device is waited for when the step is over."""

    def __init__(self) -> None:
        self.squares: Tensor | float = 0.0
        self.number = 0

    def root_mean_square(self) -> Tensor:
        return torch.as_tensor(self.squares / self.number).sqrt()


def _add(outputs: _Outputs, module: nn.Module, inputs: Any, y: Tensor) -> None:
    """In float64, where the square of a float32 does not overflow; without a copy of ``y``."""
    outputs.squares = outputs.squares + torch.linalg.vector_norm(y.detach(), dtype=torch.float64).square()
    outputs.number += y.numel()
