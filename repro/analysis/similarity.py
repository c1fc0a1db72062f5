"""How alike the states of a decoder's layers are, token by token: Figure 7."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from repro.models.transformer import Block, Decoder

# Tokens at the start of a window that are left out as well as kept (ours): those that much attention falls on have
# states many times as large as others', and so decide a mean over tokens or a product of states.
FIRST = 4


@dataclass(frozen=True)
class States:
    """Of one forward pass, each ``(windows, tokens, d_model)``.

    Attributes:
        stream: the residual stream: the embedding, then after each block; the final norm is not in it.
        outputs: what each block adds to the stream, attention and feed-forward network together, in float32.
    """

    stream: list[Tensor]
    outputs: list[Tensor]


@contextmanager
def watching_states(network: Decoder, see: Callable[[States], None]) -> Iterator[None]:
    """Have ``see`` called at the end of each forward pass; the states are of that pass and are not kept here."""
    found = States([], [])
    handles = [
        network.embed_tokens.register_forward_hook(partial(_begin, found)),
        network.register_forward_hook(partial(_end, found, see)),
    ]
    for block in network.layers:
        assert isinstance(block, Block)
        handles.append(block.self_attn.register_forward_hook(partial(_attended, found)))
        handles.append(block.mlp.register_forward_hook(partial(_fed, found)))
        handles.append(block.register_forward_hook(partial(_after, found)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class Similarity:
    """``S_ij``, the mean over tokens of ``cos(h_i, h_j)``, added up window by window in float64.

    The states are not kept, but for a matrix of each window. A state of zeros has the cosine 0 with all, itself too.

    Args:
        skip: tokens at the start of each window that are left out.
        centre: ``(layers, d_model)``, what is taken off the states first, as their mean over tokens is.
    """

    def __init__(self, *, skip: int = 0, centre: Tensor | None = None) -> None:
        self.skip, self.centre = skip, centre
        self.sums: list[NDArray[np.float64]] = []
        self.tokens: list[int] = []

    def add(self, states: Sequence[Tensor]) -> None:
        """Add the windows of a batch: a tensor a layer, ``(windows, tokens, d_model)``."""
        for window in range(len(states[0])):
            own = torch.stack([state[window, self.skip :] for state in states], dim=1).float()
            unit = nn.functional.normalize(own if self.centre is None else own - self.centre, dim=-1)
            self.sums.append((unit @ unit.mT).sum(0, dtype=torch.float64).cpu().numpy())
            self.tokens.append(len(unit))

    @property
    def matrix(self) -> NDArray[np.float64]:
        """``(layers, layers)``; the first layer of the stream is the embedding."""
        mean: NDArray[np.float64] = np.sum(self.sums, axis=0) / sum(self.tokens)
        return mean

    def each(self, of: Callable[[NDArray[np.float64]], float]) -> NDArray[np.float64]:
        """Something linear of the matrix, of each window's sum over its tokens, ``(windows,)``."""
        return np.array([of(own) for own in self.sums])


class Mean:
    """The mean over tokens of each layer's states, added up in float64.

    Args:
        skip: tokens at the start of each window that are left out.
    """

    def __init__(self, *, skip: int = 0) -> None:
        self.skip, self.tokens = skip, 0
        self.sum: Tensor | float = 0.0

    def add(self, states: Sequence[Tensor]) -> None:
        """Add a batch: a tensor a layer, ``(windows, tokens, d_model)``."""
        kept = [state[:, self.skip :].flatten(0, 1) for state in states]
        self.sum = self.sum + torch.stack([own.sum(0, dtype=torch.float64) for own in kept])
        self.tokens += len(kept[0])

    @property
    def mean(self) -> Tensor:
        """``(layers, d_model)`` float32."""
        assert isinstance(self.sum, Tensor)
        return (self.sum / self.tokens).float()


def by_distance(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over the pairs of layers that stand 1, 2, ... apart, ``(layers - 1,)``."""
    return np.array([matrix.diagonal(distance).mean() for distance in range(1, len(matrix))])


def between_layers(matrix: NDArray[np.float64]) -> float:
    """The mean over all pairs of different layers."""
    return float(matrix[np.triu_indices(len(matrix), 1)].mean())


def _begin(found: States, module: nn.Module, arguments: Any, embedded: Tensor) -> None:
    found.stream[:] = [embedded.detach()]
    found.outputs.clear()


def _attended(found: States, module: nn.Module, arguments: Any, y: Tensor) -> None:
    found.outputs.append(y.detach().float())


def _fed(found: States, module: nn.Module, arguments: Any, y: Tensor | tuple[Tensor, Any]) -> None:
    found.outputs[-1] = found.outputs[-1] + (y[0] if isinstance(y, tuple) else y).detach()


def _after(found: States, module: nn.Module, arguments: Any, after: tuple[Tensor, Any]) -> None:
    found.stream.append(after[0].detach())


def _end(found: States, see: Callable[[States], None], module: nn.Module, arguments: Any, result: Any) -> None:
    see(States(list(found.stream), list(found.outputs)))
    found.stream.clear()
    found.outputs.clear()
