"""What goes into the activations of any network and what comes out: sizes, outliers, dead neurons, shapes on inputs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from repro.activations.coefficients import Polynomial
from repro.analysis.sites import Seen, sites, watching
from repro.models.mlp import MLP
from repro.models.moe import Experts, MoE, PerExpert
from repro.models.recurrent import Recurrent
from repro.models.resnet import AXES, ResNet

DEAD = 0.01  # of the root mean square of what leaves a layer's neurons: one that stays below does nothing (ours)
ROWS = 8  # of a call, kept for a drawing


@dataclass(frozen=True)
class Call:
    """What one call of an activation was given and gave; rows are tokens, pixels or images.

    Attributes:
        name: of the feed-forward network or, where there is none, of the activation.
        activation: the module.
        inputs: ``(rows, units)``; of a gated activation the gate.
        hidden: what it gave, the same shape.
        up: what the gate lets through; None where there is no gate.
        expert: of each row, ``(rows,)``, by which rows are sorted; None where there are no experts.
        experts: how many there are; 1 where there are none.
    """

    name: str
    activation: nn.Module
    inputs: Tensor
    hidden: Tensor
    up: Tensor | None = None
    expert: Tensor | None = None
    experts: int = 1


@contextmanager
def watching_calls(network: nn.Module, see: Callable[[Call], None]) -> Iterator[None]:
    """Have ``see`` called at each call of an activation, of a decoder, a ResNet or a control without norms."""
    if isinstance(network, ResNet | Recurrent | MLP):
        handles = [
            activation.register_forward_hook(partial(_show, name, _as_rows(network, name), see))
            for name, activation in network.activations().items()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
        return
    with watching(network, lambda seen: see(_call(seen))):
        yield


@contextmanager
def watching_outputs(network: nn.Module, see: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Have ``see`` called with what each feed-forward network of a decoder gives: of experts, their weighted sum."""
    handles = []
    for site in sites(network):
        name = site.name.removesuffix(".experts")
        handles.append(network.get_submodule(name).register_forward_hook(partial(_show_output, site.name, see)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def constant(call: Call) -> Tensor:
    """The constant term of a polynomial composition, ``(sets, 1)``: a set, or one an expert; of others 0.

    It is ``a_0`` (and ``a_0 / sqrt(d)`` in Eq. 3), what the activation gives at 0 or, if gated, at a gate of 0 where it
    lets through ones; rounded to the dtype of what it gives.
    """
    zeros = call.inputs.new_zeros(call.experts, call.inputs.shape[-1])
    with torch.no_grad():  # by ``forward``, which runs no hooks
        if isinstance(call.activation, PerExpert):
            ends = torch.arange(1, call.experts + 1, device=zeros.device, dtype=torch.int32)
            return call.activation.forward(zeros, ends)[:, :1]
        if isinstance(call.activation, Polynomial):
            ones = () if call.up is None else (torch.ones_like(zeros[:1]),)
            y: Tensor = call.activation.forward(zeros[:1], *ones)
            return y[:, :1]
    return zeros[:1, :1]


class Neurons:
    """How far each neuron was ever from its layer's constant term, and how often it was exactly there.

    Of experts each neuron is that of one expert, over the tokens which that was given.
    """

    def __init__(self) -> None:
        self.largest: Tensor | None = None
        self.zeros: Tensor | int = 0
        self.numbers = 0

    def add(self, call: Call) -> None:
        """Add a call."""
        y = without_constant(call)
        self.zeros = self.zeros + (y == 0).sum()
        self.numbers += y.numel()
        own = _largest(y.abs(), call)
        self.largest = own if self.largest is None else torch.maximum(self.largest, own)

    @property
    def exact_zeros(self) -> float:
        """The share of all numbers that are the constant term exactly."""
        return float(self.zeros) / self.numbers

    @property
    def seen(self) -> int:
        """Neurons that were computed at all: those of an expert that no token was sent to were not."""
        assert self.largest is not None
        return int((self.largest >= 0).sum())

    def dead(self, threshold: float) -> float:
        """The share of those seen that were never above ``threshold``; 0 where none was."""
        assert self.largest is not None
        return float(((self.largest >= 0) & (self.largest <= threshold)).sum() / max(1, self.seen))


def without_constant(call: Call) -> Tensor:
    """What the activation gave, float32, less its constant term; that of a gated one times what is let through."""
    term = constant(call)
    own = term if call.expert is None or len(term) == 1 else term[call.expert]
    return call.hidden.float() - (own if call.up is None else own * call.up).float()


@dataclass(frozen=True)
class Row:
    """An activation on the numbers that one row holds: ``y`` at ``x``, by ``x``; of a gated one, the gate's part."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]


def rows(call: Call) -> list[Row]:
    """The activation on some rows of a call, spread evenly.

    What depends on norms of its row, as PolyNorm does, is another function of ``x`` on each; others are one and the
    same. A gated activation is drawn as it lets through ones.
    """
    step = max(1, len(call.inputs) // ROWS)
    x = call.inputs[step // 2 :: step]
    y = call.hidden[step // 2 :: step]
    if call.up is not None:
        with torch.no_grad():
            y = call.activation.forward(x, torch.ones_like(x))
    order = x.argsort(-1)
    ordered = (tensor.float().gather(-1, order).cpu().numpy() for tensor in (x, y))
    return [Row(*own) for own in zip(*ordered, strict=True)]


def _call(seen: Seen) -> Call:
    ffn = seen.site.ffn
    up = seen.inputs[1] if seen.site.gated else None
    experts = len(ffn.down_proj) if isinstance(ffn, Experts) else 1
    return Call(seen.site.name, ffn.act_fn, seen.inputs[0], seen.hidden, up, seen.expert, experts)


def _largest(sizes: Tensor, call: Call) -> Tensor:
    """Of each unit over rows, ``(experts, units)``; -1 where an expert has no rows."""
    if call.expert is None:
        return sizes.amax(0, keepdim=True)
    counts = torch.bincount(call.expert, minlength=call.experts).tolist()
    none = sizes.new_full((sizes.shape[1],), -1.0)
    return torch.stack([own.amax(0) if len(own) else none for own in sizes.split(counts)])


def _as_rows(network: nn.Module, name: str) -> Callable[[Tensor], Tensor]:
    """What brings what a site's activation sees into ``(rows, units)``: channels are units, whatever it norms over."""
    if not isinstance(network, ResNet) or network.over is AXES["channel"]:
        return lambda x: x.flatten(0, -2)
    if network.over is AXES["chw"]:  # pixels one after the other, each with its channels
        path, _, act = name.rpartition(".")
        norm = network.get_submodule(f"{path}.{act.replace('act', 'bn')}".lstrip("."))
        assert isinstance(norm, nn.BatchNorm2d)
        return lambda x: x.reshape(-1, norm.num_features)
    return lambda x: x.movedim(1, -1).flatten(0, -2)


def _show(
    name: str,
    as_rows: Callable[[Tensor], Tensor],
    see: Callable[[Call], None],
    module: nn.Module,
    arguments: tuple[Tensor, ...],
    y: Tensor,
) -> None:
    see(Call(name, module, as_rows(arguments[0].detach()), as_rows(y.detach())))


def _show_output(name: str, see: Callable[[str, Tensor], None], module: nn.Module, arguments: Any, y: Any) -> None:
    see(name, (y[0] if isinstance(module, MoE) else y).detach())
