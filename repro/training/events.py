"""TensorBoard's events of a run: scalars in groups, images, tables and hyperparameters, each step once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]
from torch.utils.tensorboard.summary import hparams

from repro.paths import write_whole
from repro.recipe.keys import keys
from repro.recipe.reading import leaves
from repro.recipe.schema import Recipe
from repro.training.ranks import is_first

# What metrics.csv calls a column, in the group in which TensorBoard shows it. Other words bring their group along.
TAGS = {
    "loss": "train/loss",
    "grad_norm": "train/gradient_norm",
    "skipped_steps": "train/skipped_steps",
    "rank_penalty": "train/rank_penalty",
    "lr": "train/learning_rate",
    "tokens": "train/tokens",
    "samples": "train/samples",
    "validation_loss": "validation/held-out",
    "top1": "validation/top1",
    "top5": "validation/top5",
    "tokens_per_second": "speed/tokens_per_second",
    "samples_per_second": "speed/samples_per_second",
    "mfu": "speed/mfu",
    "memory_gb": "speed/memory_gb",
    "largest_magnitude": "magnitude/largest",
    "load_balancing": "routers/load_balancing",
    "router_z": "routers/z",
    "router_entropy": "routers/entropy",
    "dropped_tokens": "routers/dropped_tokens",
    "largest_load": "load/largest",
    "smallest_load": "load/smallest",
}
COMPARED = ("train/loss", "validation/held-out", "validation/top1")  # of which TensorBoard shows runs' last values
_HEAD, _TAIL = 12, 4  # bytes of a record: its length with a checksum before it, a checksum behind it


class EventsFile(TensorBoardLogger):
    """Writes event files to ``tensorboard/`` in a run's folder.

    Each row is flushed, so that a run that is killed leaves no gap before the checkpoint that it goes on from. Events
    after that checkpoint are taken out of the files, and ``purge_step`` tells a TensorBoard that has read them.

    Args:
        folder: the run's.
        resumed_at: the step of the checkpoint.
    """

    def __init__(self, folder: Path, *, resumed_at: int) -> None:
        super().__init__(folder, name=None, version="tensorboard", purge_step=resumed_at + 1)
        for path in (folder / "tensorboard").glob("events.*") if is_first() else ():
            before = path.read_bytes()
            if (kept := _until(before, resumed_at)) != before:
                write_whole(path, kept)
        self.written: set[str] = set()

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add scalars."""
        named = {TAGS.get(key, key): value for key, value in metrics.items()}
        self.written |= named.keys()
        super().log_metrics(named, step)
        self.experiment.flush()

    @rank_zero_only
    def add_image(self, tag: str, pixels: Any, step: int) -> None:
        """Add ``pixels``, ``(height, width)`` or with three colours behind, as bytes."""
        self.experiment.add_image(tag, pixels, step, dataformats="HWC" if pixels.ndim == 3 else "HW")

    @rank_zero_only
    def add_text(self, tag: str, markdown: str, step: int) -> None:
        """Add a table or other text."""
        self.experiment.add_text(tag, markdown, step)
        self.experiment.flush()

    @rank_zero_only
    def add_hyperparameters(self, recipe: Recipe, seed: int, step: int) -> None:
        """Add the values of a recipe by dotted key, and the scalars by which TensorBoard compares runs."""
        compared = {tag: 0.0 for tag in COMPARED if tag in self.written}  # only the names are written
        for summary in hparams(_flat(recipe) | {"seed": seed}, compared):
            self.experiment._get_file_writer().add_summary(summary, step)
        self.experiment.flush()


def write_text(trainer: lightning.Trainer, tag: str, markdown: str) -> None:
    """Show text in TensorBoard, at the current step."""
    for events in of(trainer):
        events.add_text(tag, markdown, trainer.global_step)


def of(trainer: lightning.Trainer) -> list[EventsFile]:
    """The event files of a trainer: one, or none where it runs for a measurement."""
    return [logger for logger in trainer.loggers if isinstance(logger, EventsFile)]


def _until(records: bytes, step: int) -> bytes:
    """The records of an event file up to ``step``, and none that a crash cut short.

    TensorBoard's own reader takes back scalars and images by ``purge_step``, but no text.
    """
    kept, at = [], 0
    while at + _HEAD <= len(records):
        end = at + _HEAD + int.from_bytes(records[at : at + 8], "little") + _TAIL
        if end > len(records):
            break
        if Event.FromString(records[at + _HEAD : end - _TAIL]).step <= step:
            kept.append(records[at:end])
        at = end
    return b"".join(kept)


def _flat(recipe: Recipe) -> dict[str, bool | int | float | str]:
    values = leaves(recipe.model_dump(mode="json"), keys(recipe.family))
    return {key: value if isinstance(value, bool | int | float | str) else str(value) for key, value in values}
