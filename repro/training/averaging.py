"""Running averages over steps and over ranks, of bare networks and of sharded ones.

The averaged weights are a second network beside the trained one. So a strategy shards it like the trained one, the
distributed checkpoint keeps each rank's shard of it with no word from us, and what is evaluated is a network that
nobody has to swap weights in and out of. It costs the weights once more: 0.1 GB for a ResNet-50.
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """``average <- decay average + (1 - decay) network``, for weights and norms' statistics; counters are copied.

    As timm's ``ModelEmaV2``. Both networks lie on their devices in the same way.
    """
    ours, theirs = _local(average), _local(network)
    torch._foreach_lerp_(
        [t for t in ours if t.is_floating_point()], [t for t in theirs if t.is_floating_point()], 1 - decay
    )
    _copy([t for t in ours if not t.is_floating_point()], [t for t in theirs if not t.is_floating_point()])


def statistics(network: nn.Module) -> list[Tensor]:
    """The running statistics of the norms, which no strategy shards."""
    return [buffer for buffer in network.buffers() if buffer.is_floating_point()]


def flat(tensors: list[Tensor]) -> Tensor:
    """A copy of ``tensors`` as one vector."""
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


@torch.no_grad()
def share(tensors: list[Tensor], last: Tensor) -> Tensor:
    """Make ``tensors`` their mean over ranks and return it as one vector; ``last`` stands where that is not finite."""
    mean = flat(tensors)
    if dist.is_initialized():
        dist.all_reduce(mean)
        mean /= dist.get_world_size()
    mean = torch.where(mean.isfinite(), mean, last)
    parts = mean.split([tensor.numel() for tensor in tensors])
    _copy(tensors, [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)])
    return mean


def _copy(to: list[Tensor], values: list[Tensor]) -> None:
    if to:
        torch._foreach_copy_(to, values)


def _local(network: nn.Module) -> list[Tensor]:
    """What this rank holds of ``network``: the root of a sharded one stays whole after an evaluation."""
    for module in network.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
    tensors = [*network.parameters(), *network.buffers()]
    return [tensor.to_local() if isinstance(tensor, DTensor) else tensor for tensor in tensors]
