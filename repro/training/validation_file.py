"""``validation.csv``: losses on sets beside the run's own, a row a subset."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from repro.data.text import Sample
from repro.recipe.runs import read_metrics
from repro.training.rows_file import RowsFile

VALIDATION = "validation.csv"


class ValidationFile(RowsFile):
    """Writes the losses that :class:`repro.training.callbacks.sets.Sets` logs, in nats per token.

    A run that is validated on no other set has no such file. ``fingerprint`` is that of the set: rows of one set with
    different ones are not of one curve.

    Args:
        path: the file.
        resumed_at: rows after this step are dropped.
        samples: of the sets.
        tokens_per_step: of the run.
    """

    def __init__(self, path: Path, *, resumed_at: int, samples: Sequence[Sample], tokens_per_step: int) -> None:
        super().__init__(path, resumed_at=resumed_at)
        self.samples, self.tokens_per_step = samples, tokens_per_step

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append those of this step."""
        assert step is not None
        for sample in self.samples:
            if sample.tag in metrics:
                self.append(
                    {
                        "step": step,
                        "tokens": step * self.tokens_per_step,
                        "set": sample.set,
                        "subset": sample.subset,
                        "sequences": sample.sequences,
                        "nats_per_token": metrics[sample.tag],
                        "fingerprint": sample.fingerprint,
                    }
                )


def changed(folder: Path, here: Mapping[str, str]) -> dict[str, str]:
    """The fingerprints of sets when the run in ``folder`` was last validated on them, where ``here`` has others."""
    path = folder / VALIDATION
    before = {row["set"]: row["fingerprint"] for row in read_metrics(path)} if path.is_file() else {}
    return {name: before[name] for name in here if before.get(name, here[name]) != here[name]}
