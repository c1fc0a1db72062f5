"""What FFNs are given, and which experts their tokens are sent to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from repro.analysis.sites import Site, sites
from repro.models.moe import Experts, MoE

See = Callable[[Site, Tensor, Tensor | None], None]


@dataclass(frozen=True)
class Given:
    """To the FFN of one layer, token by token.

    Attributes:
        x: ``(tokens, d_model)``.
        chosen: the experts of each token, ``(tokens, top_k)``; None where there are none.
    """

    x: Tensor
    chosen: Tensor | None

    def of(self, expert: int) -> tuple[Tensor, Tensor]:
        """The rows that reach an expert, and the numbers of their tokens, ascending; all of them without experts."""
        if self.chosen is None:
            return self.x, torch.arange(len(self.x), device=self.x.device)
        tokens = (self.chosen == expert).any(-1).nonzero()[:, 0]
        return self.x[tokens], tokens

    def every(self, n: int) -> "Given":
        """About ``n`` of the tokens, evenly spread."""
        step = max(1, len(self.x) // n)
        return Given(self.x[::step], None if self.chosen is None else self.chosen[::step])


@contextmanager
def feeding(network: nn.Module, see: See) -> Iterator[None]:
    """Have ``see`` called with what an FFN is given, before its activation is."""
    handles = []
    for site in sites(network):
        if isinstance(site.ffn, Experts):
            moe = network.get_submodule(site.name.rpartition(".")[0])
            assert isinstance(moe, MoE)
            handles.append(moe.gate.register_forward_hook(partial(_routed, site, moe.top_k, see)))
        else:
            handles.append(site.ffn.register_forward_pre_hook(partial(_given, site, see)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class Kept:
    """What FFNs were given in the first batches of a pass, to be seen by :func:`feeding`.

    Args:
        limit: tokens of a layer after which no more are kept; the batch that reaches it is kept whole.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._parts: dict[str, list[Given]] = {}

    def see(self, site: Site, x: Tensor, chosen: Tensor | None) -> None:
        """Keep one batch."""
        parts = self._parts.setdefault(site.name, [])
        if sum(len(part.x) for part in parts) < self.limit:
            parts.append(Given(x, chosen))

    def taken(self, site: Site) -> Given:
        """All of one layer, which is no longer kept here."""
        parts = self._parts.pop(site.name)
        chosen = [part.chosen for part in parts if part.chosen is not None]
        return Given(torch.cat([part.x for part in parts]), torch.cat(chosen) if chosen else None)


def _given(site: Site, see: See, module: nn.Module, arguments: tuple[Any, ...]) -> None:
    see(site, arguments[0].detach().flatten(0, -2), None)


def _routed(site: Site, top_k: int, see: See, module: nn.Module, arguments: tuple[Any, ...], logits: Tensor) -> None:
    chosen = logits.detach().float().softmax(-1).topk(top_k, dim=-1).indices  # as the mixture itself chooses
    see(site, arguments[0].detach().to(site.ffn.down_proj.dtype), chosen)
