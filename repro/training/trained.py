"""What a run has trained: the weights of a checkpoint, put together in one process, in the network of its recipe.

Lightning's own tool to put one together fails on checkpoints of FSDP2 (``KeyError: 'model'``), and would take the
optimizer along.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from repro import models
from repro.errors import RunError
from repro.recipe import Recipe, from_file
from repro.training import checkpoints, sharding
from repro.training.vocabulary import Vocabulary

NETWORKS = ("averaged", "network", "decoder")  # of a training module; the first that is there is what it evaluates


@dataclass(frozen=True)
class Weights:
    """The network of a checkpoint that validation evaluates: of averaged and trained weights the averaged ones.

    Attributes:
        checkpoint: where it lies.
        network: what the training module calls it.
        outline: its tensors by the model's own names, on the meta device.
    """

    checkpoint: Path
    network: str
    outline: dict[str, Tensor]

    @classmethod
    def of(cls, checkpoint: Path) -> Self:
        """What ``checkpoint`` holds, without reading the numbers."""
        tensors = checkpoints.outline(checkpoint)
        network = next(network for network in NETWORKS if any(name.startswith(f"{network}.") for name in tensors))
        whole = {name: tensor for name, tensor in tensors.items() if name.startswith(f"{network}.")}
        return cls(checkpoint, network, {name.partition(".")[2]: tensor for name, tensor in whole.items()})

    @property
    def size(self) -> int:
        """Bytes, in memory and in a file."""
        return sum(tensor.nbytes for tensor in self.outline.values())

    def read(self) -> dict[str, Tensor]:
        """Its weights and buffers by the model's own names, for ``load_state_dict``.

        Raises:
            RunError: the checkpoint cannot be read.
        """
        tensors = {name: torch.empty_like(tensor, device="cpu") for name, tensor in self.outline.items()}
        checkpoints.fill(self.checkpoint, {f"{self.network}.{name}": tensor for name, tensor in tensors.items()})
        return tensors


@dataclass(frozen=True)
class Trained:
    """A checkpoint of a run.

    Attributes:
        folder: the run's.
        recipe: as the run's folder holds it.
        step: after which it was written.
        checkpoint: where it lies.
    """

    folder: Path
    recipe: Recipe
    step: int
    checkpoint: Path

    @classmethod
    def every(cls, folder: Path) -> list[Self]:
        """The checkpoints of a run, oldest first.

        Raises:
            RunError: there is none, or one is damaged: none is passed over without a word.
        """
        if broken := checkpoints.damaged(folder / "checkpoints"):
            raise RunError(
                f"not whole: {', '.join(str(path) for path in broken)}; remove what is damaged, or name another "
                f"checkpoint by its step, such as step=1000"
            )
        return cls._whole(folder)

    @classmethod
    def _whole(cls, folder: Path) -> list[Self]:
        found = checkpoints.complete(folder / "checkpoints")
        if not found:
            raise RunError(f"{folder} has no complete checkpoint; `repro run` writes one as it trains")
        recipe = from_file(folder / "recipe.yaml")
        return [cls(folder, recipe, checkpoints.step_of(path), path) for path in found]

    @classmethod
    def at(cls, folder: Path, step: int | None = None) -> Self:
        """The checkpoint of a step, or the newest.

        Raises:
            RunError: there is no such checkpoint, or, where no step is named, one is damaged.
        """
        if step is None:
            return cls.every(folder)[-1]
        every = cls._whole(folder)
        if found := [one for one in every if one.step == step]:
            return found[0]
        steps = ", ".join(str(one.step) for one in every)
        raise RunError(f"{folder} has no complete checkpoint of step={step}; there are those of {steps}")

    @cached_property
    def weights(self) -> Weights:
        """Of the network that validation evaluates; what there is of them is read when it is first asked for.

        Raises:
            RunError: the checkpoint cannot be read.
        """
        return Weights.of(self.checkpoint)

    def network(self, device: torch.device) -> nn.Module:
        """Its network with its weights, to be evaluated: as the recipe computes on a GPU, in float32 on a CPU."""
        with torch.device("meta"):
            network = models.from_recipe(self.recipe.model)
        network.load_state_dict(self.weights.read(), assign=True)
        if device.type == "cuda" and self.recipe.precision == "bf16" and self.weights.network == "decoder":
            sharding.in_bfloat16(network)
        return network.requires_grad_(False).eval().to(device)

    @property
    def vocabulary(self) -> Vocabulary:
        """Of a language model.

        Raises:
            RunError: neither the run's folder nor the prepared data hold its tokenizer.
        """
        return Vocabulary.of(self.folder, self.recipe)
