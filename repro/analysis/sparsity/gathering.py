"""One token through an FFN of which only the weights of active neurons are read, and how long that takes here."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.analysis.sparsity.cost import Way
from repro.analysis.sparsity.neurons import Neurons, rest
from repro.analysis.sparsity.predictor import Predictor
from repro.analysis.sparsity.telling import alone, lengths

ROUNDS, WARM_UP = 30, 3


class Gathering:
    """An FFN, or an expert, laid out so that a neuron's weights lie together: the down projection by columns.

    Args:
        neurons: its own.
    """

    def __init__(self, neurons: Neurons) -> None:
        self.neurons = neurons
        self.first = tuple(matrix.contiguous() for matrix in neurons.first)
        self.columns = neurons.down.T.contiguous()
        self.start = torch.zeros(1, dtype=torch.int64, device=neurons.down.device)
        sums = self.first[1].T @ self.columns if neurons.gated else self.columns.sum(0)
        self.constant = neurons.constant * sums if neurons.constant else None

    def dense(self, x: Tensor) -> Tensor:
        """The FFN of one token, ``(1, d_model)``, as it stands."""
        return F.linear(self.neurons.activation(*(F.linear(x, matrix) for matrix in self.first)), self.neurons.down)

    def named(self, x: Tensor, active: Tensor) -> Tensor:
        """The sum of the neurons whose numbers are ``active``, and the constant part of all."""
        if self.neurons.mixes:
            hidden = alone(self.neurons, F.linear(x, self.first[0]))[:, active]
            return self._sum(hidden * self._up(x, active) if self.neurons.gated else hidden, x, active)
        inputs = tuple(F.linear(x, matrix[active]) for matrix in self.first)
        return self._sum(self.neurons.activation(*inputs) - rest(self.neurons.constant, inputs), x, active)

    def computed(self, x: Tensor, threshold: float) -> Tensor:
        """The first matrix in full, then the neurons whose outputs, or whose gates, are above a threshold."""
        first = F.linear(x, self.first[0])
        hidden = alone(self.neurons, first)
        active = (lengths(self.neurons, hidden) > threshold)[0].nonzero()[:, 0]
        hidden = hidden[:, active]
        if self.neurons.gated:
            hidden = self._opened(first[:, active], hidden, self._up(x, active))
        return self._sum(hidden, x, active)

    def predicted(self, x: Tensor, predictor: Predictor) -> Tensor:
        """The neurons that a predictor takes for active."""
        return self.named(x, predictor.active(x)[0].nonzero()[:, 0])

    def _up(self, x: Tensor, active: Tensor) -> Tensor:
        return F.linear(x, self.first[1][active])

    def _opened(self, gate: Tensor, alone: Tensor, up: Tensor) -> Tensor:
        """``h`` of some neurons with what their gates let through; where there is a norm, that is a product."""
        if self.neurons.mixes:
            return alone * up
        hidden: Tensor = self.neurons.activation(gate, up) - self.neurons.constant * up
        return hidden

    def _sum(self, hidden: Tensor, x: Tensor, active: Tensor) -> Tensor:
        # Reads each column once; what indexing makes would be written and read again.
        y = F.embedding_bag(active, self.columns, self.start, per_sample_weights=hidden[0], mode="sum")
        if self.constant is None:
            return y
        return y + (x @ self.constant if self.neurons.gated else self.constant)


@dataclass(frozen=True)
class Timing:
    """Microseconds of one token: the median and the 20th and 80th percentiles."""

    median: float
    low: float
    high: float


Turn = Callable[[int], object]  # does one layer's work for one token, by number


def timed(layers: Sequence[Mapping[Way, Turn]], device: torch.device) -> list[dict[Way, Timing]]:
    """By layer: in every round, each with another token, each way goes through all layers, as a step of decoding does.

    So a layer's weights have had those of all others after them when they are needed again. Includes what it takes
    to launch the operators.
    """
    taken: list[dict[Way, list[float]]] = [{way: [] for way in turns} for turns in layers]
    for number in range(WARM_UP + ROUNDS):
        for way in layers[0]:
            for turns, times in zip(layers, taken, strict=True):
                times[way].append(_microseconds(turns[way], number, device))
    return [{way: _summary(each[WARM_UP:]) for way, each in times.items()} for times in taken]


def _microseconds(turn: Turn, number: int, device: torch.device) -> float:
    _wait(device)
    begun = time.perf_counter()
    turn(number)
    _wait(device)
    return 1e6 * (time.perf_counter() - begun)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _summary(taken: list[float]) -> Timing:
    low, _, _, high = statistics.quantiles(taken, n=5, method="inclusive")
    return Timing(statistics.median(taken), low, high)
