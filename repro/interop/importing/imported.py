"""A run folder of weights that others trained: what evaluating, generating and exporting need, and no more.

It is called ``imported-<digest>``, not ``seed-<n>``, and its checkpoint has no optimizer: no run goes on from it, and
none is compared with it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from repro import paths
from repro.data.progress import Progress, silent
from repro.digests import digest
from repro.interop import folder
from repro.interop.importing.stored import Checkpoint
from repro.paths import write_whole
from repro.recipe import Recipe, fingerprint
from repro.recipe.runs import IMPORTED
from repro.recipe.schema import LanguageRecipe
from repro.training import checkpoints
from repro.training.holding import told
from repro.training.record import as_yaml, versions, write_recipe
from repro.training.vocabulary import Vocabulary
from repro.training.writing import Writing

_PIECE = 2**24  # bytes between two looks at how far it is


@dataclass(frozen=True)
class Origin:
    """Where imported weights are from.

    Attributes:
        checkpoint: of others.
        layout: whose it has.
        source: the word that a person gave for it.
        step: that the checkpoint is said to be of.
        vocabulary: its tokenizer, if there is one.
        notes: what a person should know of how it was read.
    """

    checkpoint: Checkpoint
    layout: str
    source: str
    step: int
    vocabulary: Vocabulary | None
    notes: tuple[str, ...]

    def record(self, progress: Progress = silent) -> dict[str, Any]:
        """As it is kept with the run, and by what one import is told from another."""
        return {
            "path": self.checkpoint.path.name,
            "from": self.source,
            "layout": self.layout,
            "step": self.step,
            "files": {file.name: _sha256(file, progress) for file in self.checkpoint.files},
            "tokenizer": _sha256(self.vocabulary.path) if self.vocabulary else None,
            "bos_id": self.vocabulary.bos_id if self.vocabulary else None,
            "eos_id": self.vocabulary.eos_id if self.vocabulary else None,
            "notes": list(self.notes),
        }


def origin(run: Path) -> dict[str, Any]:
    """The record of a run whose weights others trained; nothing of one that this kit did."""
    path = run / IMPORTED
    said: dict[str, Any] = yaml.safe_load(path.read_text()) if path.is_file() else {}
    return said


def place(recipe: Recipe, record: Mapping[str, Any], out: Path | None) -> Path:
    """Where a run of these weights belongs: the same files, read in the same way, have the same place."""
    return (out or paths.runs()) / recipe.name / fingerprint(recipe) / f"imported-{digest(record, 8)}"


def write(into: Path, recipe: Recipe, of: Origin, record: Mapping[str, Any], weights: dict[str, Tensor]) -> None:
    """Write the run folder, aside, and rename it when it is whole; one that is there by then stays.

    Raises:
        RunError: the disk refuses.
    """
    with told(into):
        into.parent.mkdir(parents=True, exist_ok=True)
    with folder.whole(into, replacing=False) as aside:
        write_recipe(aside, recipe)
        write_whole(aside / IMPORTED, as_yaml(dict(record)))
        write_whole(aside / "versions.json", json.dumps(versions(), indent=1) + "\n")
        if of.vocabulary:
            of.vocabulary.keep(aside)
        module = "decoder" if isinstance(recipe, LanguageRecipe) else "network"
        state = {"model": {f"{module}.{name}": tensor for name, tensor in weights.items()}}
        progress = {"global_step": of.step, "recipe": fingerprint(recipe)}
        (aside / "checkpoints").mkdir()
        Writing(aside / "checkpoints" / checkpoints.name(of.step), state, progress).finish()


def _sha256(path: Path, progress: Progress = silent) -> str:
    found, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            found.update(piece)
            done += len(piece)
            progress(f"digest of {path.name}", done, total)
    return found.hexdigest()
