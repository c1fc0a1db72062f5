"""Windows of tokens, and the Lightning data module that serves them.

A sample is ``context + 1`` consecutive tokens: ``context`` inputs and, one further, as many targets. Windows follow
each other with stride ``context``, so that every token but a shard's first is a target once. They run across documents,
as in both of the paper's codes, and never across shards: a shard's last ``(tokens - 1) % context`` tokens are left out.
"""

import math
import resource
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import lightning
import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from repro.data import order, shards
from repro.data.corpora import Split
from repro.data.loader import StepLoader
from repro.data.manifest import Prepared
from repro.data.mixture import Mixture
from repro.data.order import StepBatches
from repro.data.shards import Shard, Tokens
from repro.errors import DataError, RunError


class TokenWindows(Dataset[Tensor]):
    """The windows of one split, in the dtype of its shards: uint16, or uint32 for more than 65,536 entries.

    A shard is mapped into memory when it is first read, by each worker for itself; those read last stay so.

    Args:
        prepared: the set.
        split: of it.
        context: tokens in a sequence.
        subset: of the split; None takes all of it.

    Raises:
        DataError: no shard is long enough for a window.
    """

    def __init__(self, prepared: Prepared, split: Split, context: int, subset: str | None = None) -> None:
        self.prepared, self.context = prepared, context
        own = [shard for shard in prepared.shards(split) if subset in (None, shard.subset)]
        self.shards = [shard for shard in own if shard.tokens > context]
        self.ends = np.cumsum([shard.windows(context) for shard in self.shards], dtype=np.int64)
        self.dtype = shards.dtype(prepared.manifest.vocab_size)
        self._views: dict[int, Tokens] = {}
        if not self.shards:
            of = f"the subset {subset} of " if subset else ""
            raise DataError(
                f"{of}the {split} split of {prepared.folder} holds {sum(shard.tokens for shard in own)} tokens in "
                f"{len(own)} shards: expected one of more than context={context}"
            )

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: int) -> Tensor:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """The windows ``indices`` as one tensor, ``(len(indices), context + 1)``."""
        wanted = np.asarray(indices)
        if len(self.shards) == 1:
            return torch.from_numpy(self._view(0)[wanted])
        batch = np.empty((len(wanted), self.context + 1), dtype=self.dtype)
        in_shard = self.ends.searchsorted(wanted, side="right")
        within = wanted - np.append(0, self.ends)[in_shard]
        for row, (number, window) in enumerate(zip(in_shard.tolist(), within.tolist(), strict=True)):
            batch[row] = self._view(number)[window]
        return torch.from_numpy(batch)

    def _view(self, number: int) -> Tokens:
        """The windows of a shard, ``(windows, context + 1)``, which overlap by one token and are not copied."""
        view = self._views.pop(number, None)
        if view is None:
            while len(self._views) >= _most_open():
                del self._views[next(iter(self._views))]
            mapped = self.prepared.map(self.shards[number])
            view = sliding_window_view(mapped, self.context + 1)[:: self.context]
        self._views[number] = view  # at the end, so that the first is the one that waited longest
        return view

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_views": {}}


class Sample:
    """Windows of a validation split that are evaluated: ``tokens`` of it or all, spread evenly.

    Attributes:
        set: the word for the set.
        subset: of it; empty for all of it.
        fingerprint: of the set.
        windows: those there are.
        sequences: those that are taken.

    Raises:
        DataError: not one can be taken.
    """

    def __init__(self, name: str, prepared: Prepared, *, context: int, tokens: int, subset: str | None = None) -> None:
        self.set, self.subset, self.fingerprint = name, subset or "", prepared.fingerprint
        self.windows = TokenWindows(prepared, "validation", context, subset)
        self.sequences = min(len(self.windows), tokens // context)
        if not self.sequences:
            raise DataError(f"validation.tokens={tokens}: expected at least one sequence of context={context}")

    @property
    def tag(self) -> str:
        """What its loss is logged as."""
        return "/".join(filter(None, ("validation", self.set, self.subset)))

    @classmethod
    def each(cls, name: str, prepared: Prepared, *, context: int, tokens: int) -> "list[Sample]":
        """One of each subset; a set without subsets is one."""
        subsets = dict.fromkeys(shard.subset for shard in prepared.shards("validation"))
        return [cls(name, prepared, context=context, tokens=tokens, subset=subset) for subset in subsets or [""]]

    def share(self, rank: int, world_size: int) -> NDArray[np.int64]:
        """The windows of one rank, in order.

        Each rank has as many, since sharded models step together: the last ones repeat the last window. The shares of
        all ranks, one after the other and cut to ``sequences``, are the sample.
        """
        share = -(-self.sequences // world_size)
        number = np.minimum(rank * share + np.arange(share), self.sequences - 1)
        return number * len(self.windows) // self.sequences


class TextData(lightning.LightningDataModule):
    """Batches of token windows, ``(micro_batch, context + 1)``, the same global ones however they are shared out.

    The position in the run is ``trainer.global_step * sequences_per_step`` samples. It counts optimizer steps, so it
    depends on neither workers, prefetching nor ranks. Cast with ``.long()`` on the device: a token takes two bytes.

    Args:
        prepared: the data.
        context: tokens in a sequence.
        sequences_per_step: the global batch.
        micro_batch: sequences a rank takes at a time.
        steps: optimizer steps of the whole run.
        seed: of the order.
        workers: processes that read; 0 reads in the training process.
        validation_tokens: how much of the validation split is used, and of each subset of other sets.
        mixture: weights of the subsets that are trained on; None takes all windows as they are.
        others: sets to validate on beside this one, by name, of the same tokenizer.

    Attributes:
        held_out: what is taken of the validation split.
        samples: what is taken of the other sets.

    Raises:
        DataError: a split is too short, the global batch cannot be shared out, or the set has no such subsets.
        RunError: the checkpoint that is loaded was trained on other data.
    """

    def __init__(
        self,
        prepared: Prepared,
        *,
        context: int,
        sequences_per_step: int,
        micro_batch: int,
        steps: int,
        seed: int,
        workers: int,
        validation_tokens: int,
        mixture: Mapping[str, float] | None = None,
        others: Mapping[str, Prepared] | None = None,
    ) -> None:
        super().__init__()
        self.prepared, self.micro_batch, self.workers = prepared, micro_batch, workers
        self.sequences_per_step, self.steps = sequences_per_step, steps
        self.train_windows = TokenWindows(prepared, "train", context)
        self.order: order.Order = partial(order.windows, n=len(self.train_windows), seed=seed)
        if mixture is not None:
            self.order = partial(Mixture(prepared, mixture, context).windows, seed=seed)
        self.held_out = Sample("held-out", prepared, context=context, tokens=validation_tokens)
        self.samples = [
            sample
            for name, other in (others or {}).items()
            for sample in Sample.each(name, other, context=context, tokens=validation_tokens)
        ]

    def train_dataloader(self) -> StepLoader:
        """Micro-batches of this rank, from the trainer's step to the run's last."""
        rank, world_size = self._place()
        batches = StepBatches(
            self.order,
            sequences_per_step=self.sequences_per_step,
            micro_batch=self.micro_batch,
            steps=self.steps,
            rank=rank,
            world_size=world_size,
            consumed=self.trainer.global_step * self.sequences_per_step if self.trainer else 0,
        )
        return self._loader(self.train_windows, batches, self.workers)

    def validation_batches(self, sample: Sample | None = None) -> StepLoader:
        """This rank's share of ``sample``, by default of the set's own, so that each subset is there as it is in the
        whole; in order and in the training process.
        """
        sample = sample or self.held_out
        own = sample.share(*self._place())
        return self._loader(sample.windows, np.split(own, range(self.micro_batch, len(own), self.micro_batch)), 0)

    def state_dict(self) -> dict[str, Any]:
        """What the run was trained on."""
        return {"corpus": self.prepared.manifest.corpus, "fingerprint": self.prepared.manifest.fingerprint}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Refuse a checkpoint that was trained on other data."""
        own = self.prepared.manifest.fingerprint
        if state["fingerprint"] != own:
            raise RunError(
                f"the checkpoint was trained on {state['corpus']} {state['fingerprint']}, but {self.prepared.folder} "
                f"holds {self.prepared.manifest.corpus} {own}: expected the tokens that the run began with"
            )

    def _place(self) -> tuple[int, int]:
        """This process's rank and the world size."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _loader(self, windows: TokenWindows, batches: Any, workers: int) -> StepLoader:
        on_gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return StepLoader(windows, batches, workers=workers, on_gpu=on_gpu)


def epochs(prepared: Prepared, tokens: int, context: int) -> float:
    """How often a run of so many tokens goes through the windows of the training split."""
    return tokens / (context * sum(shard.windows(context) for shard in prepared.shards("train")))


def never_read(shards: Iterable[Shard], context: int) -> float:
    """The share of the tokens of ``shards`` that are in no window: of shards shorter than one, and at shards' ends."""
    lengths = [(shard.tokens, shard.windows(context)) for shard in shards]
    read = sum(windows * context + 1 for _, windows in lengths if windows)
    return 1 - read / sum(tokens for tokens, _ in lengths)


def _most_open() -> float:
    """Shards that one split may have mapped, of two that a process may read: half of its file descriptors, of which
    each takes one, go to other things.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return math.inf if limit == resource.RLIM_INFINITY else max(1, limit // 4)
