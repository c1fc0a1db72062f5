"""Machines by name, and the machine that this runs on."""

import itertools
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from repro import paths
from repro.errors import RecipeError, nearest
from repro.recipe.checking import checked
from repro.recipe.reading import place, read_once
from repro.recipe.schema import Machine

HERE = "here"
UNKNOWN = "unknown GPU"


def machines() -> tuple[str, ...]:
    """The machines that have a file."""
    return tuple(sorted(file.stem for file in (paths.recipes() / "machines").glob("*.yaml")))


def machine(name: str) -> Machine:
    """The machine called ``name``: its file, over what the table of devices says of its device; ``here`` is this one.

    Raises:
        RecipeError: no machine has this name, or its file is wrong.
    """
    if name == HERE:
        return here()
    if name not in machines():
        hint = nearest(name, machines()) or f" There are: {HERE}, {', '.join(machines())}."
        raise RecipeError(f"no machine is called {name!r}.{hint}")
    path = paths.recipes() / "machines" / f"{name}.yaml"
    values = read_once(path)
    return checked(Machine, _device(values.get("device"), place(path)) | values | {"name": name}, place(path))


def here() -> Machine:
    """This machine: the GPUs that ``nvidia-smi`` lists and ``CUDA_VISIBLE_DEVICES`` leaves, or else the CPU."""
    gpus = _visible(_gpus())
    return _of_gpus(gpus) if gpus else _of_cpu()


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _of_gpus(gpus: list[tuple[str, float | None]]) -> Machine:
    """Several unlike GPUs count as so many of the smallest."""
    names = sorted({name for name, _ in gpus})
    memory = [gb for _, gb in gpus if gb]
    known = [name for name in names if name in _devices()]
    values = _device(known[0] if known else UNKNOWN, "nvidia-smi") | ({"memory_gb": min(memory)} if memory else {})
    about = f"this machine: {len(gpus)} x {' and '.join(names)}"
    return _here(values | {"about": about, "device": names[0], "devices": len(gpus)})


def _of_cpu() -> Machine:
    core = _device("CPU core", "this machine")
    size = {"memory_gb": _memory_gb(), "peak_tflops": core["peak_tflops"] * cores()}
    words = {"about": "the CPU of this machine", "device": f"{cores()} CPU cores"}
    return _here(core | size | words | {"devices": 1})


def _here(values: dict[str, Any]) -> Machine:
    return checked(Machine, values | {"name": HERE, "nodes": 1}, "this machine")


def _devices() -> dict[str, Any]:
    return read_once(paths.recipes() / "devices.yaml")


def _device(name: object, where: str) -> dict[str, Any]:
    if name not in _devices():
        hint = nearest(str(name), _devices())
        raise RecipeError(f"{where}: device {name!r} has no row in recipes/devices.yaml.{hint}")
    row: dict[str, Any] = _devices()[name]
    return row


def _gpus() -> list[tuple[str, float | None]]:
    """Name and memory in GB of each GPU; none where there is no driver to ask."""
    if not shutil.which("nvidia-smi"):
        return []
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return _listed(answer)


def _listed(answer: str) -> list[tuple[str, float | None]]:
    """``NVIDIA H200, 143771`` a line; the memory can be ``[N/A]`` where it is the CPU's."""
    lines = [line.rpartition(",") for line in answer.splitlines() if "," in line]
    return [(name.strip(), _gb(mib.strip())) for name, _, mib in lines]


def _gb(mib: str) -> float | None:
    return int(mib) * 2**20 / 1e9 if mib.isdecimal() else None


def _visible(gpus: list[tuple[str, float | None]]) -> list[tuple[str, float | None]]:
    """The GPUs that ``CUDA_VISIBLE_DEVICES`` leaves; it holds numbers or identifiers, and -1 ends it."""
    value = os.environ.get("CUDA_VISIBLE_DEVICES")
    if value is None:
        return gpus
    ids = list(itertools.takewhile(lambda i: i not in {"", "-1"}, value.replace(" ", "").split(",")))
    if all(i.isdecimal() for i in ids):
        return [gpus[int(i)] for i in ids if int(i) < len(gpus)]
    return gpus[: len(ids)]


def _memory_gb() -> float:
    """Memory of the machine, or of the container it is."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text().strip()).isdecimal():
        sizes.append(int(text))
    return min(sizes) / 1e9
