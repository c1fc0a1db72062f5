"""A network some of whose neurons are left out of each token's sum."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import fmean

import torch
from torch import Tensor, nn

from repro.analysis.sites import Seen, Site, sites, watching
from repro.analysis.sparsity.inputs import feeding
from repro.analysis.sparsity.neurons import Layer
from repro.analysis.sparsity.predictor import Predictor

Inactive = Callable[[Layer, Seen], Tensor]  # which neurons are left out, ``(rows, d_ff)`` bool


class Counted:
    """How many neurons were left out.

    Attributes:
        out: of each site, by name.
        of: all that there were.
    """

    def __init__(self) -> None:
        self.out: dict[str, int] = {}
        self.of: dict[str, int] = {}

    def add(self, site: str, out: Tensor) -> None:
        """Of some rows."""
        self.out[site] = self.out.get(site, 0) + int(out.count_nonzero())
        self.of[site] = self.of.get(site, 0) + out.numel()

    @property
    def shares(self) -> dict[str, float]:
        """Left out of all, by the name of the site."""
        return {site: self.out[site] / of for site, of in self.of.items()}

    @property
    def sparsity(self) -> float:
        """The share that was left out, the mean over sites."""
        return fmean(self.shares.values())


@contextmanager
def skipping(network: nn.Module, inactive: Inactive) -> Iterator[Counted]:
    """Leave out what ``inactive`` names of every FFN. What stays is what it was, to the bit."""
    layers, counted = {site.name: Layer(site) for site in sites(network)}, Counted()

    def see(seen: Seen) -> Tensor:
        layer = layers[seen.site.name]
        out = inactive(layer, seen)
        counted.add(seen.site.name, out)
        return torch.where(out, layer.rest(seen), seen.hidden)

    with watching(network, see):
        yield counted


def shorter(thresholds: Mapping[str, float]) -> Inactive:
    """Neurons whose output is at most as long as the threshold of their layer, by the name of the site."""

    def inactive(layer: Layer, seen: Seen) -> Tensor:
        return layer.magnitudes(seen) <= thresholds[layer.site.name]

    return inactive


@contextmanager
def predicted(network: nn.Module, predictors: Mapping[str, Predictor]) -> Iterator[Counted]:
    """Leave out what the predictor of each FFN, by the name of the site, does not take for active."""
    given: dict[str, Tensor] = {}

    def remember(site: Site, x: Tensor, chosen: Tensor | None) -> None:
        given[site.name] = x

    def inactive(layer: Layer, seen: Seen) -> Tensor:
        return ~predictors[layer.site.name].active(given[layer.site.name])

    with feeding(network, remember), skipping(network, inactive) as counted:
        yield counted
