"""Where the FFNs of a network stand, and what goes through their activations as it computes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from repro.models.ffn import GatedFFN, PlainFFN
from repro.models.moe import Experts

FFN = PlainFFN | GatedFFN | Experts


@dataclass(frozen=True)
class Site:
    """A feed-forward network of a decoder, or the experts of one layer.

    Attributes:
        name: of the module, such as ``layers.3.mlp``.
        layer: its number, from 0.
        ffn: the module.
        gated: whether its activation takes a gate and what that lets through.
    """

    name: str
    layer: int
    ffn: FFN
    gated: bool


@dataclass(frozen=True)
class Seen:
    """What one call of an activation was given and gave, detached; rows are tokens, or a token for each of its experts.

    Attributes:
        site: whose.
        inputs: ``(x,)`` or ``(gate, up)``, each ``(rows, d_ff)``.
        hidden: what the down projection is given, ``(rows, d_ff)``.
        expert: the expert of each row, ``(rows,)``, by which rows are sorted; None where there are no experts.
    """

    site: Site
    inputs: tuple[Tensor, ...]
    hidden: Tensor
    expert: Tensor | None


def sites(network: nn.Module) -> list[Site]:
    """The FFNs of a network, by layer; none of one that has no FFNs, as a ResNet."""
    found = [(name, module) for name, module in network.named_modules() if isinstance(module, FFN)]
    return [Site(name, number, ffn, _gated(ffn)) for number, (name, ffn) in enumerate(found)]


@contextmanager
def watching(network: nn.Module, see: Callable[[Seen], Tensor | None]) -> Iterator[None]:
    """Have ``see`` called at each activation of an FFN; what it returns takes the place of ``hidden``."""
    handles = []
    for site in sites(network):
        ends: list[Tensor] = []  # of the rows of each expert, in the call that is going on
        if isinstance(site.ffn, Experts):
            handles.append(site.ffn.register_forward_pre_hook(partial(_remember, ends)))
        handles.append(site.ffn.act_fn.register_forward_hook(partial(_show, site, ends, see)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _gated(ffn: FFN) -> bool:
    return isinstance(ffn, GatedFFN) or (isinstance(ffn, Experts) and ffn.gated)


def _remember(ends: list[Tensor], module: nn.Module, arguments: tuple[Any, ...]) -> None:
    ends[:] = [arguments[1]]


def _show(
    site: Site,
    ends: list[Tensor],
    see: Callable[[Seen], Tensor | None],
    module: nn.Module,
    arguments: tuple[Any, ...],
    hidden: Tensor,
) -> Tensor | None:
    tensors = tuple(tensor.detach().flatten(0, -2) for tensor in arguments[: 1 + site.gated])
    expert = _experts(ends[0], len(tensors[0])) if ends else None
    instead = see(Seen(site, tensors, hidden.detach().flatten(0, -2), expert))
    return None if instead is None else instead.view_as(hidden)


def _experts(ends: Tensor, rows: int) -> Tensor:
    return torch.searchsorted(ends, torch.arange(rows, device=ends.device), right=True)
