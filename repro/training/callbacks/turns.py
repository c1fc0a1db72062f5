"""Whole tensors of weights taken in turns: as many as there are ranks, of which each rank keeps one to compute on."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.distributed.tensor import DTensor


def kept(network: nn.Module, turn: Sequence[Sequence[str]], place: int) -> list[Tensor]:
    """Gather the tensors of a turn one by one, on all ranks in this order, and keep those of one place.

    A rank that computed before the last of them is gathered would have all others wait for it.

    Args:
        network: it has the parameters.
        turn: by place the names of those that one rank keeps; there may be fewer places than ranks.
        place: of this rank.
    """
    own: list[Tensor] = []
    for at, names in enumerate(turn):
        for name in names:
            whole = _whole(network.get_parameter(name))
            own += [whole] if at == place else []
            del whole  # before the next is gathered
    return own


def _whole(parameter: nn.Parameter) -> Tensor:
    return (parameter.full_tensor() if isinstance(parameter, DTensor) else parameter).detach()
