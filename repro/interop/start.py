"""An export as a person sees it."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from repro.data.progress import bars
from repro.errors import ReproError, nearest
from repro.interop.exporting import export
from repro.interop.exporting.safetensors_file import amount
from repro.recipe import runs
from repro.recipe.settings import given, whole
from repro.training.trained import Trained

FORMATS = {
    "hf": (export.as_huggingface, export.write_folder),
    "safetensors": (export.as_safetensors, export.write_file),
}
FURTHEST = 10**9  # a step; 0 is what an import has by default


def start(run: str, settings: Sequence[str], *, to: str, out: Path | None, console: Console) -> None:
    """Write the weights of a run's newest complete checkpoint, or of ``step=N``, in a format of other programs.

    Raises:
        ReproError: there is no such format or setting.
        RunError: there is no such run, it has no complete checkpoint, the format does not fit it, or the disk refuses.
    """
    if to not in FORMATS:
        hint = nearest(to, FORMATS) or f" There are: {', '.join(FORMATS)}."
        raise ReproError(f"there is no format {to!r} to export to.{hint}")
    plans, writes = FORMATS[to]
    step = _step(settings)
    trained = Trained.at(runs.find(run), step)
    plan = plans(trained, out)
    said = export.provenance(trained)
    told = f"{said['recipe']} after step {trained.step:,}, {said['weights']} weights: "
    console.print(f"{told}{len(plan.pieces):,} tensors, {amount(plan.size)}", highlight=False, soft_wrap=True)
    done = "replaced" if plan.path.exists() else "written"
    with bars() as progress:
        writes(trained, plan, progress)
    console.print(f"{done}: {plan.path}", highlight=False, soft_wrap=True)


def _step(settings: Sequence[str]) -> int | None:
    words = given(settings, ("step",), verb="export", such_as="step=1000")
    return whole("step", words["step"], smallest=0, largest=FURTHEST, such_as=1000) if words else None
