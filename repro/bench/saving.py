"""How long training stands still for a checkpoint, which is copied to the host's memory and written meanwhile."""

import shutil
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
from rich.console import Console
from torch.distributed.device_mesh import DeviceMesh

from repro.bench import cost
from repro.bench.cases import Case, laid_out, need
from repro.bench.rows import Reading
from repro.bench.subjects import subject
from repro.bench.tables import say
from repro.bench.timing import Clock
from repro.errors import RunError
from repro.recipe import Machine
from repro.recipe.layout import USABLE
from repro.recipe.memory import GB, checkpoint_gb
from repro.training import checkpoints
from repro.training.writing import Writing

SAVED = Case("dense-1b", ("polynorm",), "gpu")
MINUTES = 30  # between two checkpoints
SPARE = 1.0  # GB that the disk keeps


def report(
    mesh: DeviceMesh, gpu: Machine, clock: Clock, out: Path | None, console: Console
) -> tuple[int, list[Reading]]:
    """The readings of one checkpoint, written on the disk of ``out`` or of temporary files and removed: none where GPU
    or disk is too small, which is said. They are of a step of one sequence, which makes no difference to a checkpoint.
    """
    folder = Path(out or tempfile.gettempdir())
    say(console, f"\ncheckpoint of {SAVED}, by way of the host's memory to {folder}")
    why = _too_small(gpu, folder)
    if not why:
        try:
            with tempfile.TemporaryDirectory(dir=folder, prefix=".bench-") as aside:
                return 1, measure(mesh, clock, Path(aside))
        except RunError as error:
            why = str(error)
        except torch.OutOfMemoryError:
            why = f"out of memory, where {need(SAVED, gpu, 1):.0f} GB were planned"
    say(console, f"not measured: {why}")
    return 0, []


def measure(mesh: DeviceMesh, clock: Clock, folder: Path) -> list[Reading]:
    """Seconds from an idle device to the next step's first, and until the checkpoint is whole, and what it holds.

    Training stands still while state is collected and copied; what the writing takes from later steps is not in it.

    Raises:
        RunError: it could not be written.
    """
    cost.free()  # what was measured before had
    ((name, recipe),) = SAVED.whole().items()
    trained = subject(recipe, mesh, laid_out(SAVED, 1))
    trained.step()  # or the optimizer would have no moments
    group, path = dist.new_group(backend="gloo"), folder / checkpoints.name(1)
    assert isinstance(group, dist.ProcessGroup)
    clock.wait()
    begun = time.perf_counter()
    writing = Writing(path, trained.state(), {}, group=group)
    clock.wait()
    still = time.perf_counter() - begun
    writing.finish()
    whole = time.perf_counter() - begun
    held = sum(file.stat().st_size for file in path.iterdir()) / GB
    standstill = f"{name}, training stands still for a checkpoint"
    return [
        Reading(standstill, "s", still),
        Reading(standstill, f"% of {MINUTES} minutes", 100 * still / (60 * MINUTES)),
        Reading(f"{name}, checkpoint until it is whole", "s", whole),
        Reading(f"{name}, checkpoint", "GB", held),
    ]


def _too_small(gpu: Machine, folder: Path) -> str:
    """What there is too little of, if anything."""
    (recipe,) = SAVED.whole().values()
    needed, room = need(SAVED, gpu, 1), USABLE * gpu.memory_gb
    if needed > room:
        return f"a step needs {needed:.0f} GB of the GPU, and {room:.0f} GB are usable"
    held, free = checkpoint_gb(recipe), shutil.disk_usage(folder).free / GB
    if held + SPARE > free:
        return f"it has {held:.3g} GB, and of the disk {free:.3g} GB are free"
    return ""
