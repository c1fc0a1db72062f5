"""The matrices of a network whose ranks are looked at: each part of each layer, experts apart."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn

from repro.analysis.random_matrices import effective_rank
from repro.analysis.sites import sites
from repro.analysis.spectrum import Spectrum, singular_values
from repro.models.mlp import MLP
from repro.models.recurrent import Recurrent
from repro.models.resnet import Bottleneck, ResNet

# The words of a layer's tensors, and what is in each, one above the other.
PARTS = {
    "gate_proj": ("gate",),
    "up_proj": ("up",),
    "gate_up_proj": ("gate", "up"),
    "down_proj": ("down",),
    "conv1": ("conv1",),
    "conv2": ("conv2",),
    "conv3": ("conv3",),
    "downsample": ("downsample",),
    "input": ("input",),
    "recurrent": ("recurrent",),
    "linear": ("hidden",),
}


@dataclass(frozen=True)
class Weight:
    """A tensor of a layer that is a matrix, or holds several.

    Attributes:
        name: in the network, such as ``layers.3.mlp.up_proj``.
        layer: its number, from 0; of a ResNet the stem is 0 and blocks follow.
        parts: what it holds, one above the other.
        factors: the names of the parameters whose product it is, or of the one that it is.
    """

    name: str
    layer: int
    parts: tuple[str, ...]
    factors: tuple[str, ...]

    def matrices(self, factors: Sequence[Tensor]) -> dict[str, Tensor]:
        """Of each part ``(experts, outputs, inputs)``, or one matrix; of a convolution inputs are those of its kernel.

        Args:
            factors: the values of the parameters, whole.
        """
        whole = factors[0]
        for factor in factors[1:]:
            whole = whole.double() @ factor.double()
        stacked = whole if whole.ndim == 3 else whole.flatten(1)[None]
        return dict(zip(self.parts, stacked.chunk(len(self.parts), dim=1), strict=True))


@dataclass(frozen=True)
class Ranks:
    """Effective ranks of a part of a layer, divided by a random matrix's; of several experts, over them.

    Learned coefficients are drawn from the same: the part is one of them.

    Attributes:
        layer: its number.
        part: its word.
        mean: of the experts.
        smallest: of them.
        largest: of them.
    """

    layer: int
    part: str
    mean: float
    smallest: float
    largest: float

    @classmethod
    def of(cls, layer: int, part: str, ranks: Sequence[float]) -> Self:
        """From the rank of each expert, or of the one matrix."""
        return cls(layer, part, math.fsum(ranks) / len(ranks), min(ranks), max(ranks))


def normalised_ranks(matrices: Tensor) -> list[float]:
    """The effective rank of each of ``(n, rows, columns)``, divided by a random matrix's of that shape.

    Raises:
        ValueError: one is not finite.
    """
    random = effective_rank(*matrices.shape[-2:])
    return [Spectrum.from_values(values).effective_rank / random for values in singular_values(matrices)]


def weights(network: nn.Module) -> list[Weight]:
    """The FFNs' of a decoder; a ResNet's convolutions; all between embedding and head of another network.

    Its embedding, attention, routers and head are left out.
    """
    return [weight for place in _places(network) for weight in _at(*place)]


def _places(network: nn.Module) -> Iterator[tuple[int, str, nn.Module]]:
    """The layers: their numbers, names and modules."""
    if isinstance(network, ResNet):
        blocks = [(name, part) for name, part in network.named_modules() if isinstance(part, Bottleneck)]
        yield 0, "", network
        yield from ((number, *block) for number, block in enumerate(blocks, start=1))
    elif isinstance(network, Recurrent | MLP):
        yield from ((number, f"layers.{number}", layer) for number, layer in enumerate(network.layers))
    else:
        yield from ((site.layer, site.name, site.ffn) for site in sites(network))


def _at(layer: int, path: str, module: nn.Module) -> list[Weight]:
    found: dict[str, list[str]] = {}
    for name, parameter in module.named_parameters():
        word = name.partition(".")[0]
        if word in PARTS and parameter.ndim > 1:  # what has one dimension is a bias, or belongs to a norm
            found.setdefault(word, []).append(_within(path, name))
    stem = isinstance(module, ResNet)
    return [
        Weight(_within(path, word), layer, ("stem",) if stem else PARTS[word], tuple(names))
        for word, names in found.items()
    ]


def _within(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
