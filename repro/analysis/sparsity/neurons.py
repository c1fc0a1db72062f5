"""The neurons of FFNs, with the constant part of the activation taken off each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.analysis.constants import constant, without_part
from repro.analysis.sites import Seen, Site
from repro.models.ffn import GatedFFN, PlainFFN
from repro.models.moe import Experts, PerExpert

ROWS = 1024  # of hidden states at a time


@dataclass(frozen=True)
class Neurons:
    """Those of an FFN, or of one expert.

    An activation that gives ``c`` at 0, as PolyCom with its ``a_0``, adds ``c W_down 1`` to every output. That is a
    bias, and no work of a neuron: ``h`` without it is what decides, or nothing would ever be 0. A gated one that gives
    ``c up`` where its gate is 0 adds the linear map ``c W_down W_up x`` likewise.

    Attributes:
        first: the matrix that makes pre-activations, or those of gate and up, each ``(d_ff, d_model)``.
        down: ``(d_model, d_ff)``.
        activation: of one or two tensors ``(rows, d_ff)``.
    """

    first: tuple[Tensor, ...]
    down: Tensor
    activation: Callable[..., Tensor]

    @cached_property
    def constant(self) -> Tensor:
        """``c``, a number: what the activation gives at 0, or at a gate of 0 for what it lets through."""
        return constant(self.activation, self.down.new_empty(1, self.down.shape[1]), gated=self.gated)[0, 0]

    @cached_property
    def columns(self) -> Tensor:
        """Of the down projection, one after the other, ``(d_ff, d_model)`` float32."""
        return self.down.float().T.contiguous()

    @cached_property
    def lengths(self) -> Tensor:
        """Of the columns of the down projection, ``(d_ff,)`` float32."""
        lengths: Tensor = self.down.float().norm(dim=0)
        return lengths

    @property
    def gated(self) -> bool:
        """Whether there are a gate and what it lets through."""
        return len(self.first) > 1

    @cached_property
    def mixes(self) -> bool:
        """Whether one pre-activation changes what the activation makes of others, as a norm does."""
        x = torch.linspace(-2, 2, self.down.shape[1], dtype=self.down.dtype, device=self.down.device)[None]
        other = x.clone()
        other[0, 0] = 1
        rest = (torch.ones_like(x),) if self.gated else ()
        return not torch.equal(self.activation(x, *rest)[:, 1:], self.activation(other, *rest)[:, 1:])

    def hidden(self, x: Tensor) -> Tensor:
        """``h`` without its constant part, ``(rows, d_ff)`` float32, of ``x``, ``(rows, d_model)``."""
        inputs = tuple(F.linear(x, matrix) for matrix in self.first)
        return without_part(self.activation(*inputs), rest(self.constant, inputs))

    def magnitudes(self, x: Tensor) -> Iterator[Tensor]:
        """Lengths of what each neuron gives, ``(rows, d_ff)``, some rows at a time."""
        return (self.hidden(rows).abs_().mul_(self.lengths) for rows in x.split(ROWS))


def rest(constant: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
    """The constant part of ``h``, which broadcasts to ``(rows, d_ff)``."""
    return constant * inputs[1] if len(inputs) > 1 else constant


class Layer:
    """The neurons of a site: of its FFN, or of each of its experts.

    Attributes:
        site: where they stand.
        neurons: of the FFN, or by expert.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.neurons = _experts(site.ffn) if isinstance(site.ffn, Experts) else [_dense(site.ffn)]

    @cached_property
    def _constants(self) -> Tensor:
        return torch.stack([one.constant for one in self.neurons])[:, None]

    @cached_property
    def _lengths(self) -> Tensor:
        return torch.stack([one.lengths for one in self.neurons])

    def rest(self, seen: Seen) -> Tensor:
        """What ``hidden`` is where a neuron is left out: its constant part."""
        constant = self._constants if seen.expert is None else self._constants[seen.expert]
        return rest(constant, seen.inputs)

    def magnitudes(self, seen: Seen) -> Tensor:
        """Lengths of what each neuron gives, ``(rows, d_ff)`` float32."""
        lengths = self._lengths if seen.expert is None else self._lengths[seen.expert]
        return without_part(seen.hidden, self.rest(seen)).abs_().mul_(lengths)


def _dense(ffn: PlainFFN | GatedFFN) -> Neurons:
    matrices = (ffn.gate_proj, ffn.up_proj) if isinstance(ffn, GatedFFN) else (ffn.up_proj,)
    # forward, for the module would run hooks, which may be what asks
    return Neurons(tuple(_weight(matrix) for matrix in matrices), _weight(ffn.down_proj), ffn.act_fn.forward)


def _weight(matrix: nn.Module) -> Tensor:
    assert isinstance(matrix.weight, Tensor)
    return matrix.weight


def _experts(experts: Experts) -> list[Neurons]:
    first = experts.gate_up_proj if experts.gated else experts.up_proj
    assert isinstance(first, Tensor)
    return [
        Neurons(tuple(matrix.chunk(2) if experts.gated else [matrix]), down, _of_expert(experts.act_fn, number))
        for number, (matrix, down) in enumerate(zip(first, experts.down_proj, strict=True))
    ]


def _of_expert(activation: nn.Module, number: int) -> Callable[..., Tensor]:
    if not isinstance(activation, PerExpert):
        return activation.forward
    return partial(_all_of_one, activation, number)


def _all_of_one(activation: PerExpert, number: int, x: Tensor) -> Tensor:
    """Rows of which all are one expert's."""
    ends = torch.where(torch.arange(len(activation.coeff), device=x.device) < number, 0, len(x))
    return activation.forward(x, ends)
