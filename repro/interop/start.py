"""An export as a person sees it."""

from pathlib import Path

from rich.console import Console

from repro.errors import ReproError, RunError, nearest
from repro.interop.consolidate import Evaluated, amount, make_room, write
from repro.recipe import from_file, runs
from repro.training import checkpoints
from repro.training.record import versions
from repro.training.resuming import newest

FORMATS = ("safetensors",)


def start(run: str, *, to: str, out: Path | None, console: Console) -> None:
    """Write the weights of a run's newest complete checkpoint in a format of other programs.

    Raises:
        ReproError: there is no such format.
        RunError: there is no such run, it has no complete checkpoint, or the file cannot be written.
    """
    if to not in FORMATS:
        hint = nearest(to, FORMATS) or f" There are: {', '.join(FORMATS)}."
        raise ReproError(f"there is no format {to!r} to export to.{hint}")
    folder = runs.find(run)
    checkpoint = newest(folder)
    if checkpoint is None:
        raise RunError(f"{folder} has no complete checkpoint; `repro run` writes one as it trains")
    _safetensors(folder, Evaluated.of(checkpoint), out, console)


def _safetensors(folder: Path, weights: Evaluated, out: Path | None, console: Console) -> None:
    described = _metadata(folder, weights)
    path = out or folder / f"{checkpoints.name(int(described['step']))}.safetensors"
    make_room(path, weights.size)
    told = f"{described['recipe']} after step {int(described['step']):,}, {described['weights']} weights: "
    told += f"{len(weights.outline):,} tensors, {amount(weights.size)} of memory and of disk"
    console.print(told, highlight=False, soft_wrap=True)
    done = "replaced" if path.exists() else "written"
    write(path, weights.read(), described, like=folder / "recipe.yaml")
    console.print(f"{done}: {path}", highlight=False, soft_wrap=True)


def _metadata(folder: Path, weights: Evaluated) -> dict[str, str]:
    """Where the numbers come from, as the file carries it."""
    return {
        "format": "pt",  # transformers 4 loads no file that does not say so
        "recipe": from_file(folder / "recipe.yaml").name,
        "fingerprint": checkpoints.recipe_of(weights.checkpoint),
        "step": str(checkpoints.step_of(weights.checkpoint)),
        "weights": "averaged" if weights.network == "averaged" else "trained",
        "repro": versions()["repro"],
    }
