"""How a model lies on its devices.

One CPU process trains the bare model. GPUs at every world size, one included, and several CPU processes train it
sharded by FSDP2 or, where the recipe says so, whole on each (:mod:`repro.training.replicated`). All start from the same
weights, write the same checkpoints and, in one process on a CPU, give the same losses to the bit.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.strategies import ModelParallelStrategy, SingleDeviceStrategy, Strategy
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.optim import Optimizer

from repro.models.ffn import GatedFFN, PlainFFN
from repro.models.init import Distribution, initialise
from repro.models.moe import Experts, MoE
from repro.models.recurrent import RecurrentLayer
from repro.training import checkpoints

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
        """Write a checkpoint from all ranks."""
        state = checkpoints.state_of(self.trained, self.optimizers[0])
        progress = {key: value for key, value in checkpoint.items() if key not in {"state_dict", "optimizer_states"}}
        checkpoints.write(Path(filepath), state, progress, rank=self.global_rank)
        self.barrier()

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
    """Weights, gradients and optimizer state sharded over all ranks, each of which reads its own share of a batch.

    Lightning's strategy defaults to tensor parallelism inside a node and initialises shard by shard, which draws equal
    shards on a CPU; this one has a single data-parallel dimension and weights that do not depend on the world size.
    """

    def __init__(self, fill: "Callable[[nn.Module], None]", *, precision: str) -> None:
        super().__init__(data_parallel_size=1, tensor_parallel_size=1)
        self.fill, self.precision = fill, precision

    def setup_environment(self) -> None:
        """Start the process group and lay all ranks along one dimension."""
        super(ModelParallelStrategy, self).setup_environment()
        self._setup_distributed()
        self._device_mesh = init_device_mesh(self.root_device.type, (self.world_size,), mesh_dim_names=("dp_shard",))

    @property
    def distributed_sampler_kwargs(self) -> dict[str, Any]:
        """Each rank is a data-parallel worker of its own."""
        return {"num_replicas": self.world_size, "rank": self.global_rank}

    def setup(self, trainer: "lightning.Trainer") -> None:
        """Shard the model, then allocate and fill each shard."""
        assert self.accelerator is not None
        self.accelerator.setup(trainer)
        for network in networks(self.trained):
            shard(network, self.device_mesh, self.precision)
        self.allocate()
        self.barrier()
        self.setup_optimizers(trainer)
        self.setup_precision_plugin()


def networks(module: nn.Module) -> list[nn.Module]:
    """What a training module trains, and what it averages, if anything."""
    return [child for child in module.children() if any(True for _ in child.parameters())]


def shard(network: nn.Module, mesh: DeviceMesh, precision: str) -> None:
    """Shard ``network`` over ``mesh`` layer by layer, with ``precision`` for products and float32 for the weights.

    Activations that learn and routers are units of their own in float32: rounded to bfloat16, a coefficient of 1/3 is
    off by 1e-3, and two experts may tie. Convolutions lose their channels-last memory, which FSDP2 does not take.
    """
    network.to(memory_format=torch.contiguous_format)
    # Inputs are not cast: the residual stream is in bfloat16 by itself, and rotations are to stay in float32.
    mixed = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False)
    products = mixed if precision == "bf16" else MixedPrecisionPolicy()
    for module in list(_in_float32(network)):
        fully_shard(module, mesh=mesh, mp_policy=MixedPrecisionPolicy(cast_forward_inputs=False))
    for layer in getattr(network, "layers", ()):
        fully_shard(layer, mesh=mesh, mp_policy=products)
    fully_shard(network, mesh=mesh, mp_policy=products)


def _in_float32(network: nn.Module) -> Iterator[nn.Module]:
    for module in network.modules():
        if isinstance(module, PlainFFN | GatedFFN | Experts) and any(True for _ in module.act_fn.parameters()):
            yield module.act_fn
        if isinstance(module, MoE):
            yield module.gate
        if isinstance(module, RecurrentLayer) and any(True for _ in module.act.parameters()):
            yield module.act


def filling(seed: int, draw: Distribution) -> "Callable[[nn.Module], None]":
    """The function that gives a training module's networks their initial weights."""

    def fill(module: nn.Module) -> None:
        for network in networks(module):
            initialise(network, seed, draw)

    return fill
