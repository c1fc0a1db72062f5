"""How alike the states of layers are as a run trains, and what leaves the activations: on the same text every time."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import lightning
import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from repro.analysis import similarity
from repro.analysis.inputs import DEAD, Call, Neurons, watching_calls, without_constant
from repro.analysis.similarity import Similarity, between_layers, by_distance, watching_states
from repro.analysis.values import Moments
from repro.data.text import Sample, TextData
from repro.models import Decoder
from repro.training import events
from repro.training.callbacks import due
from repro.training.callbacks.metrics import log, paused
from repro.training.language_model import LanguageModel

TOKENS = 8192  # of held-out text at most, and never more than a step trains on


class States(lightning.Callback):
    """Looks at the states of a language model every so many steps and at the end, on held-out windows, always the same.

    Logs the mean cosine of the residual stream between neighbouring layers, ``similarity/adjacent``, and between all,
    ``similarity/mean``, drawn at the end as the image ``figure/similarity``; and of each activation ``dead/<layer>``,
    the share of neurons that are never far from the constant term, and ``kurtosis/<layer>`` of what it gives, but for
    steps at which it gives one number throughout, which has none. The recurrent control, which has no residual stream,
    has only the latter two.

    Nothing of the training is touched: the windows are read by a forward pass of their own, as in validation. They are
    shared out, as many to each rank.

    Args:
        every: steps.
    """

    def __init__(self, every: int) -> None:
        self.every = every

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look if it is time."""
        if not due(trainer, batch_idx, self.every):
            return
        assert isinstance(pl_module, LanguageModel)
        data: TextData = trainer.datamodule  # type: ignore[attr-defined]
        look = Look(pl_module.device)
        with paused(trainer, pl_module), eager(pl_module.decoder), look.watching(pl_module.decoder):
            for windows in data.validation_batches(sample(data, trainer.world_size)):
                pl_module.sequence_losses(windows.to(pl_module.device))
        look.bring_together()
        log(trainer, look.row())
        if look.cosines is not None and trainer.is_global_zero and trainer.global_step == trainer.max_steps:
            self._draw(trainer, look.cosines)

    def _draw(self, trainer: lightning.Trainer, cosines: NDArray[np.float64]) -> None:
        from repro.analysis.figures.similarity import HeatMap, heat_maps  # matplotlib takes long to import
        from repro.analysis.figures.style import pixels

        for file in events.of(trainer):
            file.add_image("figure/similarity", pixels(heat_maps([HeatMap("stream", cosines)])), trainer.global_step)


class Look:
    """What one look adds up on this rank, and then over all.

    Attributes:
        cosines: of the stream, between layers; None before ranks are brought together, and without a stream.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.similarity = Similarity()
        self.neurons: dict[str, Neurons] = {}
        self.hidden: dict[str, Moments] = {}
        self.moving: dict[str, Moments] = {}  # what comes out less the constant term
        self.cosines: NDArray[np.float64] | None = None

    @contextmanager
    def watching(self, network: nn.Module) -> Iterator[None]:
        """Add what goes through ``network``."""
        with ExitStack() as watched:
            if isinstance(network, Decoder):
                watched.enter_context(watching_states(network, self._see))
            watched.enter_context(watching_calls(network, self._call))
            yield

    def bring_together(self) -> None:
        """Add up what all ranks have seen."""
        for moments in (self.hidden, self.moving):
            sums = _of_all(torch.stack([own.sums for own in moments.values()]), dist.ReduceOp.SUM)
            moments |= {name: Moments(own) for name, own in zip(moments, sums, strict=True)}
        for neurons in self.neurons.values():
            assert neurons.largest is not None
            neurons.largest = _of_all(neurons.largest, dist.ReduceOp.MAX)
            neurons.rows = _of_all(torch.as_tensor(neurons.rows).to(self.device), dist.ReduceOp.SUM)
        if self.similarity.sums:
            own = np.append(np.sum(self.similarity.sums, axis=0), sum(self.similarity.tokens))
            sums = _of_all(torch.from_numpy(own).to(self.device), dist.ReduceOp.SUM).cpu()
            layers = len(self.similarity.sums[0])
            self.cosines = (sums[:-1] / sums[-1]).view(layers, layers).numpy()

    def row(self) -> dict[str, float]:
        """The scalars."""
        row: dict[str, float] = {}
        if self.cosines is not None:
            adjacent = float(by_distance(self.cosines)[0])
            row = {"similarity/adjacent": adjacent, "similarity/mean": between_layers(self.cosines)}
        for name, neurons in self.neurons.items():
            row[f"dead/{name}"] = neurons.dead(DEAD * self.moving[name].rms)
            kurtosis = self.hidden[name].kurtosis
            row |= {} if math.isnan(kurtosis) else {f"kurtosis/{name}": kurtosis}
        return row

    def _see(self, states: similarity.States) -> None:
        self.similarity.add(states.stream)

    def _call(self, call: Call) -> None:
        name, none = call.name, Moments.none(self.device)
        self.neurons.setdefault(name, Neurons()).add(call)
        self.hidden[name] = self.hidden.get(name, none).and_of(call.hidden)
        self.moving[name] = self.moving.get(name, none).and_of(without_constant(call))


def sample(data: TextData, ranks: int) -> Sample:
    """The held-out windows that are looked at, as many for each rank if there are enough."""
    context = data.held_out.windows.context
    windows = min(max(1, TOKENS // context), data.sequences_per_step, data.held_out.sequences)
    shared = max(ranks, windows // ranks * ranks)
    return Sample("held-out", data.prepared, context=context, tokens=shared * context)


@contextmanager
def eager(network: nn.Module) -> Iterator[None]:
    """Without what was compiled: that looks for hooks when it is made, and passes over those that come later."""
    compiled = {module: module._compiled_call_impl for module in network.modules() if module._compiled_call_impl}
    for module in compiled:
        module._compiled_call_impl = None
    try:
        yield
    finally:
        for module, call in compiled.items():
            module._compiled_call_impl = call


def _of_all(own: Tensor, how: Any) -> Tensor:
    if dist.is_initialized():
        dist.all_reduce(own, how)
    return own
