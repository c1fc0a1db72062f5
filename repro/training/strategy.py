"""How a model lies on its devices.

One CPU process trains the bare model. GPUs at every world size, one included, and several CPU processes train it
sharded by FSDP2 or, where the recipe says so, whole on each (:mod:`repro.training.replicated`). All start from the same
weights, write the same checkpoints and, in one process on a CPU, give the same losses to the bit.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch.distributed as dist
from lightning.pytorch.strategies import ModelParallelStrategy, SingleDeviceStrategy, Strategy
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.optim import Optimizer

from repro.models.init import Distribution, initialise
from repro.training import checkpoints
from repro.training.meeting import TIMEOUT
from repro.training.sharding import Sharding, mesh, shard
from repro.training.writing import Writing

if TYPE_CHECKING:
    from collections.abc import Callable

    import lightning
    from lightning.fabric.utilities.types import _PATH


class DistributedCheckpoints(Strategy):
    """Saves and restores through :mod:`repro.training.checkpoints`, after the model is on its devices."""

    global_rank: int
    fill: "Callable[[nn.Module], None]"
    restore_checkpoint_after_setup = True
    lightning_restore_optimizer = False
    writing: Writing | None = None
    group: dist.ProcessGroup | None = None

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Nothing: ``save_checkpoint`` takes weights and optimizer state where they lie."""
        return {}

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Nothing, for the same reason."""
        return {}

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Nothing: ``load_checkpoint`` has filled the model in place."""

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Nothing: ``load_checkpoint`` has filled the optimizer in place."""

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: "_PATH", storage_options: Any = None) -> None:
        """Begin to write a checkpoint, from all ranks; :meth:`finish_saving` waits for it."""
        self.finish_saving()
        state = checkpoints.state_of(self.trained, self.optimizers[0])
        progress = {key: value for key, value in checkpoint.items() if key not in {"state_dict", "optimizer_states"}}
        self.writing = Writing(Path(filepath), state, progress, rank=self.global_rank, group=self._saving_group())

    def finish_saving(self) -> None:
        """Wait until the checkpoint that was begun is whole.

        Raises:
            RunError: on all ranks, if it could not be written.
        """
        writing, self.writing = self.writing, None
        if writing:
            writing.finish()

    def _saving_group(self) -> dist.ProcessGroup | None:
        """All ranks, on channels of their own: those of the training are in use meanwhile."""
        if dist.is_initialized() and self.group is None:
            group = dist.new_group(backend="gloo", timeout=TIMEOUT)
            assert isinstance(group, dist.ProcessGroup)  # this rank is in it
            self.group = group
        return self.group

    def load_checkpoint(self, checkpoint_path: "_PATH", weights_only: bool | None = None) -> dict[str, Any]:
        """Fill model and optimizer, and return the rest of the checkpoint."""
        return checkpoints.read(Path(checkpoint_path), self.trained, self.optimizers[0])

    def allocate(self) -> None:
        """Give the weights their memory, on this rank's device, and their initial values."""
        self.trained.to_empty(device=self.root_device)
        self.fill(self.trained)

    @property
    def trained(self) -> nn.Module:
        """The training module itself, whatever a strategy wraps it in."""
        assert self.lightning_module is not None
        return self.lightning_module


class BareModel(DistributedCheckpoints, SingleDeviceStrategy):
    """One process on a CPU. ``fill`` gives the model's weights their initial values."""

    def __init__(self, fill: "Callable[[nn.Module], None]") -> None:
        super().__init__(device="cpu")
        self.fill = fill

    def setup(self, trainer: "lightning.Trainer") -> None:
        """Allocate and fill the weights, then what every strategy sets up."""
        self.allocate()
        super().setup(trainer)

    def teardown(self) -> None:
        """Nothing to move off the device: the model is on the CPU, or was never allocated if the run failed before."""


class FSDP2(DistributedCheckpoints, ModelParallelStrategy):
    """Weights, gradients and optimizer state shared out over ranks, each of which reads its own share of a batch.

    Lightning's strategy defaults to tensor parallelism inside a node, initialises shard by shard, which draws equal
    shards on a CPU, and reduces gradients after every micro-batch. This one lays ranks along data-parallel dimensions
    only, takes weights that do not depend on the number of ranks, and reduces as its layout says.
    """

    def __init__(self, fill: "Callable[[nn.Module], None]", sharding: Sharding) -> None:
        super().__init__(data_parallel_size=1, tensor_parallel_size=1, timeout=TIMEOUT)
        self.fill, self.sharding = fill, sharding

    def setup_environment(self) -> None:
        """Start the process group and lay the ranks out: copies of the model, and the ranks that share one."""
        super(ModelParallelStrategy, self).setup_environment()
        self._setup_distributed()
        self._device_mesh = mesh(self.root_device.type, self.world_size, self.sharding.ranks)

    @property
    def distributed_sampler_kwargs(self) -> dict[str, Any]:
        """Each rank is a data-parallel worker of its own."""
        return {"num_replicas": self.world_size, "rank": self.global_rank}

    def setup(self, trainer: "lightning.Trainer") -> None:
        """Shard the model, then allocate and fill each shard."""
        assert self.accelerator is not None
        self.accelerator.setup(trainer)
        for network in networks(self.trained):
            shard(network, self.device_mesh, self.sharding)
        self.allocate()
        self.barrier()
        self.setup_optimizers(trainer)
        self.setup_precision_plugin()

    @contextlib.contextmanager
    def block_backward_sync(self) -> Iterator[None]:
        """What Lightning calls around every micro-batch of a step but the last."""
        units = [network for network in networks(self.trained) if isinstance(network, FSDPModule)]
        for unit in units:  # copies of the model tell each other once a step in any case
            unit.set_requires_gradient_sync(self.sharding.reduce_each)
            unit.set_requires_all_reduce(False)
        try:
            yield
        finally:
            for unit in units:
                unit.set_requires_gradient_sync(True)  # and the copies' exchange with it


def networks(module: nn.Module) -> list[nn.Module]:
    """What a training module trains, and what it averages, if anything."""
    return [child for child in module.children() if any(True for _ in child.parameters())]


def filling(seed: int, draw: Distribution) -> "Callable[[nn.Module], None]":
    """The function that gives a training module's networks their initial weights."""

    def fill(module: nn.Module) -> None:
        for network in networks(module):
            initialise(network, seed, draw)

    return fill
