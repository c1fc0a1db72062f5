"""How FSDP2 shares out a network: layer by layer, in which precision, and what is computed or gathered twice."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import Shard
from torch.utils.checkpoint import checkpoint

from repro.models.ffn import GatedFFN, PlainFFN
from repro.models.moe import Experts, MoE
from repro.models.recurrent import RecurrentLayer
from repro.recipe.schema import Precision


@dataclass(frozen=True)
class Sharding:
    """A layout, as torch needs it; :class:`repro.recipe.layout.Fit` says what the choices mean."""

    ranks: int  # that share one copy of the model
    precision: Precision = "fp32"  # of products; weights are in float32
    recompute: bool = False
    reduce_each: bool = False
    reshard: bool = False
    compile: bool = False


def mesh(device: str, world_size: int, ranks: int) -> DeviceMesh:
    """All ranks: along one dimension if they share one copy of the model, else ``(copies, ranks of a copy)``."""
    if ranks == world_size:
        return init_device_mesh(device, (ranks,), mesh_dim_names=("dp_shard",))
    return init_device_mesh(device, (world_size // ranks, ranks), mesh_dim_names=("dp_replicate", "dp_shard"))


def shard(network: nn.Module, over: DeviceMesh, sharding: Sharding) -> None:
    """Share ``network`` out over a mesh, layer by layer.

    Activations that learn and routers are units of their own in float32: rounded to bfloat16, a coefficient of 1/3 is
    off by 1e-3, and two experts may tie. Convolutions lose their channels-last memory, which FSDP2 does not take.
    """
    network.to(memory_format=torch.contiguous_format)
    # Inputs are not cast: the residual stream is in bfloat16 by itself, and rotations are to stay in float32.
    mixed = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False)
    policy = mixed if sharding.precision == "bf16" else MixedPrecisionPolicy()
    share = functools.partial(fully_shard, mesh=over, reshard_after_forward=sharding.reshard)
    for module in list(_in_float32(network)):
        share(module, mp_policy=MixedPrecisionPolicy(cast_forward_inputs=False))
    for layer in getattr(network, "layers", ()):
        _prepare(layer, sharding)
        share(layer, mp_policy=policy, shard_placement_fn=_placement(sharding.ranks))
    share(network, mp_policy=policy)


def in_bfloat16(network: nn.Module) -> None:
    """Round weights as sharding in ``bf16`` computes with them: all but learned activations and routers."""
    kept = {id(parameter) for module in _in_float32(network) for parameter in module.parameters()}
    for parameter in network.parameters():
        if id(parameter) not in kept:
            parameter.data = parameter.data.to(torch.bfloat16)


def _prepare(layer: nn.Module, sharding: Sharding) -> None:
    """What is done to a layer where it lies, so that its parameters keep their names."""
    if sharding.recompute:
        layer.forward = functools.partial(checkpoint, layer.forward, use_reentrant=False)
    if sharding.compile:
        layer.compile()


def _placement(ranks: int) -> Callable[[nn.Parameter], Shard | None]:
    """Experts' weights are shared out expert by expert or, among more ranks than that divides, by their width."""
    return lambda weight: Shard(1) if weight.ndim == 3 and weight.shape[0] % ranks else None


def _in_float32(network: nn.Module) -> Iterator[nn.Module]:
    for module in network.modules():
        if isinstance(module, PlainFFN | GatedFFN | Experts) and any(True for _ in module.act_fn.parameters()):
            yield module.act_fn
        if isinstance(module, MoE):
            yield module.gate
        if isinstance(module, RecurrentLayer) and any(True for _ in module.act.parameters()):
            yield module.act
