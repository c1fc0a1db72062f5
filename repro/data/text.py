"""Windows of tokens, and the Lightning data module that serves them.

A sample is ``context + 1`` consecutive tokens: ``context`` inputs and, one further, as many targets. Windows follow
each other with stride ``context``, so that every token but a shard's first is a target once. They run across documents,
as in both of the paper's codes, and never across shards: a shard's last ``(tokens - 1) % context`` tokens are left out.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import lightning
import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from repro.data.corpora import Split
from repro.data.loader import StepLoader
from repro.data.manifest import Prepared
from repro.data.order import StepBatches
from repro.data.shards import Tokens
from repro.errors import DataError, RunError


class TokenWindows(Dataset[Tensor]):
    """The windows of one split, in the dtype of its shards: uint16, or uint32 for more than 65,536 entries.

    Shards are mapped into memory at the first access, by each worker for itself; a batch is copied in one piece.

    Raises:
        DataError: no shard is long enough for a window.
    """

    def __init__(self, prepared: Prepared, split: Split, context: int) -> None:
        self.prepared, self.context = prepared, context
        self.shards = [shard for shard in prepared.shards(split) if shard.tokens > context]
        self.ends = np.cumsum([(shard.tokens - 1) // context for shard in self.shards], dtype=np.int64)
        if not self.shards:
            raise DataError(
                f"the {split} split of {prepared.folder} holds {prepared.tokens(split)} tokens in "
                f"{len(prepared.shards(split))} shards: expected one of more than context={context}"
            )

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: int) -> Tensor:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """The windows ``indices`` as one tensor, ``(len(indices), context + 1)``."""
        wanted = np.asarray(indices)
        if len(self._views) == 1:
            return torch.from_numpy(self._views[0][wanted])
        batch = np.empty((len(wanted), self.context + 1), dtype=self._views[0].dtype)
        in_shard = self.ends.searchsorted(wanted, side="right")
        for number in np.unique(in_shard):
            rows = in_shard == number
            first = self.ends[number - 1] if number else 0
            batch[rows] = self._views[number][wanted[rows] - first]
        return torch.from_numpy(batch)

    @cached_property
    def _views(self) -> list[Tokens]:
        """The windows of each shard, ``(windows, context + 1)``, which overlap by one token and are not copied."""
        return [sliding_window_view(self.prepared.map(s), self.context + 1)[:: self.context] for s in self.shards]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_views"}


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
        validation_tokens: how much of the validation split is used, from its beginning.

    Raises:
        DataError: a split is too short, or the global batch cannot be shared out.
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
    ) -> None:
        super().__init__()
        self.prepared, self.micro_batch, self.workers = prepared, micro_batch, workers
        self.sequences_per_step, self.steps, self.seed = sequences_per_step, steps, seed
        self.train_windows = TokenWindows(prepared, "train", context)
        self.validation_windows = TokenWindows(prepared, "validation", context)
        self.validation_sequences = min(len(self.validation_windows), validation_tokens // context)
        if not self.validation_sequences:
            raise DataError(
                f"validation.tokens={validation_tokens}: expected at least one sequence of context={context}"
            )

    def train_dataloader(self) -> StepLoader:
        """Micro-batches of this rank, from the trainer's step to the run's last."""
        rank, world_size = self._place()
        batches = StepBatches(
            len(self.train_windows),
            sequences_per_step=self.sequences_per_step,
            micro_batch=self.micro_batch,
            steps=self.steps,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
            consumed=self.trainer.global_step * self.sequences_per_step if self.trainer else 0,
        )
        return self._loader(self.train_windows, batches, self.workers)

    def validation_batches(self) -> StepLoader:
        """This rank's share of the first ``validation_sequences`` windows, in order and in the training process.

        Each rank has as many, since sharded models step together: the last ones repeat the last window. The shares of
        all ranks, one after the other and cut to ``validation_sequences``, are the set.
        """
        rank, world_size = self._place()
        share = -(-self.validation_sequences // world_size)
        own = np.minimum(rank * share + np.arange(share), self.validation_sequences - 1)
        return self._loader(self.validation_windows, np.split(own, range(self.micro_batch, share, self.micro_batch)), 0)

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


def epochs(prepared: Prepared, tokens: int) -> float:
    """How often a run of so many tokens goes through the training split."""
    return tokens / prepared.tokens("train")
