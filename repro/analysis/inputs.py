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

from repro.analysis import constants
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


def places(network: nn.Module) -> dict[str, int]:
    """The number of the layer of each activation, by the name of its calls; of a ResNet, of its block (0: the stem)."""
    if isinstance(network, ResNet | Recurrent | MLP):
        names = list(network.activations())
        blocks = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
        return {name: blocks.index(name.rpartition(".")[0]) for name in names}
    return {site.name: site.layer for site in sites(network)}


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
    """What the activation gives at 0, ``(sets, 1)``: a number, or one an expert where each has its own coefficients.

    As :func:`repro.analysis.constants.constant`, rounded to the dtype of what it gives.
    """
    own = call.activation
    if isinstance(own, PerExpert):
        ends = torch.arange(1, call.experts + 1, device=call.inputs.device, dtype=torch.int32)
        zeros = call.inputs.new_zeros(call.experts, call.inputs.shape[-1])
        return constants.constant(partial(own.forward, ends=ends), zeros, gated=False)
    return constants.constant(own.forward, call.inputs[:1], gated=call.up is not None)


class Neurons:
    """How far each neuron was ever from its layer's constant term, and how often it was exactly there.

    Of experts each neuron is that of one expert, over the tokens which that was given.
    """

    def __init__(self) -> None:
        self.largest: Tensor | None = None
        self.rows: Tensor | int = 0  # of each expert
        self.zeros: Tensor | int = 0
        self.numbers = 0

    def add(self, call: Call) -> None:
        """Add a call."""
        y, counts = without_constant(call), _rows(call)
        self.rows = self.rows + counts
        self.zeros = self.zeros + (y == 0).sum()
        self.numbers += y.numel()
        own = _largest(y.abs(), counts)
        self.largest = own if self.largest is None else torch.maximum(self.largest, own)

    @property
    def exact_zeros(self) -> float:
        """The share of all numbers that are the constant term, to rounding in their dtype."""
        return float(self.zeros) / self.numbers

    @property
    def seen(self) -> int:
        """Neurons that were computed at all: those of an expert that no token was sent to were not."""
        assert self.largest is not None
        return int((torch.as_tensor(self.rows) > 0).sum()) * self.largest.shape[1]

    def dead(self, threshold: float) -> float:
        """The share of those seen that were never above ``threshold``; 0 where none was."""
        assert self.largest is not None
        return float(((self.largest >= 0) & (self.largest <= threshold)).sum() / max(1, self.seen))


def without_constant(call: Call) -> Tensor:
    """What the activation gave, float32, less its constant term; that of a gated one times what is let through."""
    term = constant(call)
    own = term if call.expert is None or len(term) == 1 else term[call.expert]
    return constants.without_part(call.hidden, own if call.up is None else own.float() * call.up.float())


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


def _rows(call: Call) -> Tensor:
    """Of each expert, ``(experts,)``, on the CPU."""
    if call.expert is None:
        return torch.tensor([len(call.inputs)])
    return torch.bincount(call.expert, minlength=call.experts).cpu()


def _largest(sizes: Tensor, counts: Tensor) -> Tensor:
    """Of each unit over rows, ``(experts, units)``; -1 where an expert has no rows."""
    none = sizes.new_full((sizes.shape[1],), -1.0)
    return torch.stack([own.amax(0) if len(own) else none for own in sizes.split(counts.tolist())])


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
