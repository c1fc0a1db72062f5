"""What works on this machine, what does not, and what to do about it."""

import importlib
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from repro import kernels, paths
from repro.errors import CheckFailed
from repro.kernels.support import INSTALLED
from repro.recipe import here
from repro.training.record import PACKAGES, versions


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``remedy`` is empty where nothing has to be done."""

    what: str
    works: bool
    found: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Look at Python, packages, the GPU with NCCL, the fused kernels, disk space and write access."""
    yield Finding("repro", True, versions()["repro"])
    yield Finding("Python", sys.version_info >= (3, 11), platform.python_version(), "the kit needs 3.11 or newer")
    yield from _packages()
    yield from _gpu()
    yield _fused_kernels()
    for what, folder in (("runs", paths.runs()), ("prepared data", paths.prepared())):
        yield _folder(what, folder)


def _packages() -> Iterator[Finding]:
    found = versions()
    for package in PACKAGES:
        missing = found[package] == "absent"
        needed = package != "triton" or sys.platform == "linux"
        yield Finding(package, not missing or not needed, found[package], "pip install -e . -c constraints.txt")
    yield _import(
        "torchvision", "torch and torchvision come from different indexes: install both with one plain pip command"
    )


def _import(package: str, remedy: str) -> Finding:
    try:
        importlib.import_module(package)
    except (ImportError, RuntimeError) as error:
        return Finding(f"import {package}", False, str(error).splitlines()[0], remedy)
    return Finding(f"import {package}", True, "works")


def _gpu() -> Iterator[Finding]:
    if not torch.cuda.is_available():
        there = here().accelerator == "cuda"
        found = "there is one, and torch cannot use it" if there else "none; training runs on the CPU in float32"
        yield Finding("GPU", not there, found, "install the driver that torch's CUDA asks for, or a torch built for it")
        return
    properties = torch.cuda.get_device_properties(0)
    yield Finding(
        "GPU", True, f"{torch.cuda.device_count()} x {properties.name}, {properties.total_memory / 1e9:.0f} GB"
    )
    yield _try(
        "matrix product in bfloat16", _product, "the driver and torch's CUDA do not fit: see the driver's version"
    )
    nccl = torch.distributed.is_nccl_available()
    yield Finding("NCCL", nccl, "available" if nccl else "absent", "several GPUs need a torch built with NCCL")


def _product() -> str:
    x = torch.ones(256, 256, device="cuda", dtype=torch.bfloat16)
    return f"works (a sum of 256 ones is {(x @ x)[0, 0].item():g})"


def _fused_kernels() -> Finding:
    """Where there is a GPU, one is compiled and run."""
    what = "fused kernels"
    if not INSTALLED:
        return Finding(what, sys.platform != "linux", "Triton is not installed; torch serves", "pip install triton")
    imports = _import("triton", "pip install -e . -c constraints.txt")
    if not imports.works:
        return imports
    if not torch.cuda.is_available():
        return Finding(what, True, "Triton imports; its kernels need a GPU, and the tests run them in its interpreter")
    return _try(
        what, _polynorm_of_ones, "Triton needs a C compiler and Python's headers: apt-get install gcc python3-dev"
    )


def _polynorm_of_ones() -> str:
    x = torch.ones(2, 264, device="cuda", dtype=torch.bfloat16)
    coeff = torch.ones(4, device="cuda") / 4
    y = kernels.polynorm(x, coeff, backend="triton")
    if not (y - 1).abs().max() <= 2**-7:  # a unit in the last place; NaN is not
        raise RuntimeError(f"PolyNorm of ones has to be 1 and is {y.min().item():g} to {y.max().item():g}")
    return "PolyNorm compiles and gives what it has to"


def _try(what: str, action: Callable[[], str], remedy: str) -> Finding:
    try:
        return Finding(what, True, action())
    except Exception as error:  # whatever it is, it is what the doctor was asked for
        return Finding(what, False, (str(error).splitlines() or [type(error).__name__])[0], remedy)


def _folder(what: str, folder: Path) -> Finding:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    try:
        paths.prove(there)
    except OSError as error:
        return Finding(what, False, f"{there}: {error.strerror}", "choose another folder with --out or $REPRO_DATA")
    free = shutil.disk_usage(there).free / 1e9
    return Finding(what, free > 2, f"{folder} can be written, {free:.0f} GB free", "a smoke needs 2 GB")


def start(console: Console) -> None:
    """Print every finding.

    Raises:
        CheckFailed: something does not work.
    """
    findings = list(examine())
    for finding in findings:
        mark = "[green]ok[/]     " if finding.works else "[bold red]problem[/]"
        console.print(f"{mark}  {finding.what}: {finding.found}", highlight=False, soft_wrap=True)
        if not finding.works:
            console.print(f"         {finding.remedy}", soft_wrap=True)
    problems = [finding.what for finding in findings if not finding.works]
    if problems:
        raise CheckFailed(f"{len(problems)} of {len(findings)} do not work: {', '.join(problems)}")
