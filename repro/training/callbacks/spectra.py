"""Effective ranks of a network's matrices as it trains."""

import math
from collections.abc import Iterator
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from repro.analysis.matrices import Ranks, Weight, normalised_ranks, weights
from repro.training import events
from repro.training.callbacks import due
from repro.training.callbacks.metrics import log, paused
from repro.training.callbacks.turns import kept
from repro.training.strategy import networks


class Spectra(lightning.Callback):
    """Logs effective ranks (Eq. 36), divided by a random matrix's of the shape, every so many steps and at the end.

    As ``rank/<layer>/<part>``; of experts it is the mean, and ``rank/<layer>/<part>/smallest`` the lowest. At the end
    they are drawn over layers, as the image ``figure/ranks``: a figure takes as long as the ranks of a small model.
    They are those of the trained weights, not of an average.

    As many tensors as there are ranks are gathered one by one, each rank keeps one of them, and then all compute: a
    rank holds two whole tensors at most. What is not finite is logged as it is and stops nothing: that is the guard's
    part.

    Args:
        every: steps.
    """

    def __init__(self, every: int) -> None:
        self.every = every

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure if it is time."""
        if not due(trainer, batch_idx, self.every):
            return
        with paused(trainer, pl_module):
            found = _ranks(trainer, _trained(pl_module))
        log(trainer, dict(_scalars(found)))
        if trainer.is_global_zero and trainer.global_step == trainer.max_steps:
            for file in events.of(trainer):
                _draw(file, found, trainer.global_step)


def _trained(module: lightning.LightningModule) -> nn.Module:
    return next(own for own in networks(module) if any(weight.requires_grad for weight in own.parameters()))


def _ranks(trainer: lightning.Trainer, network: nn.Module) -> list[Ranks]:
    """Of every part of every layer, on all ranks."""
    every, rank, ranks = weights(network), trainer.global_rank, trainer.world_size
    mine: list[tuple[float, float, float]] = []
    for first in range(0, len(every), ranks):
        turn = every[first : first + ranks]
        whole = kept(network, [weight.factors for weight in turn], rank)
        for number, weight in enumerate(turn):
            mine += _measured(weight, whole if number == rank else None)
    table = torch.tensor(mine, dtype=torch.float64, device=trainer.strategy.root_device)
    rows = trainer.strategy.reduce(table, reduce_op="sum").tolist()
    places = [(weight.layer, part) for weight in every for part in weight.parts]
    return [Ranks(*place, *row) for place, row in zip(places, rows, strict=True)]


def _measured(weight: Weight, factors: list[Tensor] | None) -> list[tuple[float, float, float]]:
    """Mean, smallest and largest rank of each part; zeros of what another rank computes."""
    if factors is None:
        return [(0.0, 0.0, 0.0)] * len(weight.parts)
    found = []
    for part, matrices in weight.matrices(factors).items():
        try:
            ranks = Ranks.of(weight.layer, part, normalised_ranks(matrices))
        except ValueError:  # not finite
            ranks = Ranks(weight.layer, part, math.nan, math.nan, math.nan)
        found.append((ranks.mean, ranks.smallest, ranks.largest))
    return found


def _scalars(found: list[Ranks]) -> Iterator[tuple[str, float]]:
    for ranks in found:
        yield f"rank/{ranks.layer}/{ranks.part}", ranks.mean
        if ranks.smallest != ranks.largest:
            yield f"rank/{ranks.layer}/{ranks.part}/smallest", ranks.smallest


def _draw(file: events.EventsFile, found: list[Ranks], step: int) -> None:
    from repro.analysis.figures.ranks import over_layers  # matplotlib takes long to import
    from repro.analysis.figures.style import pixels

    file.add_image("figure/ranks", pixels(over_layers(found, f"step {step:,}")), step)
