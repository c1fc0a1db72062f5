"""``metrics.csv``: what a run measured, the same columns for every run."""

from collections.abc import Mapping
from pathlib import Path

from repro.training.rows_file import RowsFile

COLUMNS = (
    "step",
    "tokens",
    "loss",
    "validation_loss",
    "lr",
    "grad_norm",
    "skipped_steps",
    "tokens_per_second",
    "mfu",
    "memory_gb",
    "largest_magnitude",  # of what leaves an activation
    "rank_penalty",  # that is added to the loss, and is not in it
    "samples",  # of image classifiers
    "samples_per_second",
    "top1",
    "top5",
    "load_balancing",  # of mixtures of experts
    "router_z",
    "router_entropy",
    "largest_load",
    "smallest_load",
    "dropped_tokens",
)


class MetricsFile(RowsFile):
    """Writes the logged values that have a column; others, such as coefficients, are for TensorBoard."""

    def __init__(self, path: Path, *, resumed_at: int) -> None:
        super().__init__(path, resumed_at=resumed_at, columns=COLUMNS)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append those of this step."""
        known = {key: value for key, value in metrics.items() if key in COLUMNS}
        if known:
            self.append({"step": step, **known})
