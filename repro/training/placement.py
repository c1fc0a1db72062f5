"""Where tensors lie that devices share out."""

from collections.abc import Iterable

from torch import Tensor
from torch.distributed.tensor import DTensor, Shard

from repro.recipe.memory import GB


def misplaced(tensor: Tensor, ranks: int, world_size: int) -> str:
    """What is wrong with where a tensor lies. Shares are equal, but for the last ones where ranks do not divide it, and
    those of stacked experts in any case.
    """
    if not isinstance(tensor, DTensor):
        return "is whole on each device"
    *copies, last = tensor.placements
    lies = tuple(tensor.device_mesh.shape)
    across = (ranks,) if ranks == world_size else (world_size // ranks, ranks)
    if lies != across or not isinstance(last, Shard) or not all(each.is_replicate() for each in copies):
        return f"lies as {tensor.placements} on devices {lies}"
    share = tuple(-(-n // ranks) if dim == last.dim else n for dim, n in enumerate(tensor.shape))
    local = tuple(tensor.to_local().shape)
    if local != share or (tensor.ndim == 3 and tensor.shape[last.dim] % ranks):
        return f"of shape {tuple(tensor.shape)} has a part of {local} on the first device"
    return ""


def local_gb(tensors: Iterable[Tensor]) -> float:
    """Of what lies on this device."""
    local = (tensor.to_local() if isinstance(tensor, DTensor) else tensor for tensor in tensors)
    return sum(each.numel() * each.itemsize for each in local) / GB
