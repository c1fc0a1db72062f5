"""What TensorBoard shows of a run beside its scalars: the shapes of its activations, and its recipe."""

from typing import Any

import lightning
from torch import Tensor
from torch.distributed.tensor import DTensor

from repro import activations
from repro.models.parameters import kinds
from repro.recipe import Recipe
from repro.training import events
from repro.training.callbacks import due


class Shapes(lightning.Callback):
    """Draws what each activation has learned, every so many steps and at the end, as the image ``shape/<layer>``.

    An activation that learns nothing is not drawn.
    """

    def __init__(self, activation: str, every: int) -> None:
        self.activation, self.every = activation, every
        self.parameters = sorted((name for name, _ in activations.build(activation).named_parameters()), key=len)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Gather the parameters from all ranks, and draw on the first."""
        if not (self.parameters and due(trainer, batch_idx, self.every)):
            return
        layers = self._learned(pl_module)
        for file in events.of(trainer) if trainer.is_global_zero else ():
            self._draw(file, layers, trainer.global_step)

    def _draw(self, file: events.EventsFile, layers: dict[str, dict[str, Tensor]], step: int) -> None:
        from repro.training.drawing import Drawing  # matplotlib takes long to import, and few activations learn

        drawing = Drawing(self.activation)
        for layer, learned in layers.items():
            file.add_image(f"shape/{layer}", drawing.draw(learned, layer), step)

    def _learned(self, module: lightning.LightningModule) -> dict[str, dict[str, Tensor]]:
        """The parameters of each layer's activation, by their names in it, on the CPU."""
        kind, layers = kinds(module), dict[str, dict[str, Tensor]]()
        for name, parameter in module.named_parameters():
            if kind[name] == "coefficients" and parameter.requires_grad:  # not those of an average
                whole = parameter.full_tensor() if isinstance(parameter, DTensor) else parameter
                own = next(own for own in self.parameters if name.endswith(f".{own}"))
                layer = name.removesuffix(f".{own}").partition(".")[2]
                layers.setdefault(layer, {})[own] = whole.detach().float().cpu()
        return layers


class HyperParameters(lightning.Callback):
    """Writes the recipe and the seed at the end, with the losses by which TensorBoard compares runs.

    At the last step rather than after it, so that a run that goes on from its last checkpoint does not write it twice.
    """

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self.recipe, self.seed = recipe, seed

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write at the last step."""
        if due(trainer, batch_idx, trainer.max_steps):
            for file in events.of(trainer):
                file.add_hyperparameters(self.recipe, self.seed, trainer.global_step)
