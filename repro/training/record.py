"""What a run writes beside its numbers: the recipe, where its values came from, the machine and the versions."""

import json
import platform
import subprocess
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol

import torch
import yaml

import repro
from repro.data.manifest import Prepared
from repro.errors import RunError
from repro.paths import write_whole
from repro.recipe import Machine, Recipe
from repro.recipe.layout import fit
from repro.training.vocabulary import Vocabulary

PACKAGES = ("torch", "lightning", "triton", "torchvision", "tokenizers", "numpy")


class Source(Protocol):
    """Data that a run is trained on: what a person calls it, and what tells it from other data."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def fingerprint(self) -> str: ...  # noqa: D102


def record(folder: Path, recipe: Recipe, machine: Machine, data: Source) -> None:
    """Write ``recipe.yaml``, ``origin.yaml``, ``machine.yaml`` with the fit on it, ``versions.json`` and the tokenizer.

    Raises:
        RunError: the folder holds a run on other data, which this one cannot continue.
    """
    refuse_other_data(folder, data)
    write_recipe(folder, recipe)
    write_whole(
        folder / "machine.yaml", as_yaml(machine.model_dump(mode="json") | {"fit": asdict(fit(recipe, machine))})
    )
    if isinstance(data, Prepared):
        Vocabulary.of_data(data).keep(folder)
    write_whole(folder / "versions.json", json.dumps(versions() | {"data": data.fingerprint}, indent=1) + "\n")


def write_recipe(folder: Path, recipe: Recipe) -> None:
    """Write ``recipe.yaml`` and where each of its values is from."""
    write_whole(folder / "recipe.yaml", as_yaml(recipe.model_dump(mode="json")))
    write_whole(folder / "origin.yaml", as_yaml(recipe.origin))


def as_yaml(tree: object) -> str:
    """In the order in which it was made."""
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120)


def versions() -> dict[str, str]:
    """Python, the kit with its commit, torch and what else decides numbers, and the device."""
    return {
        "python": platform.python_version(),
        "repro": f"{repro.__version__}{_commit()}",
        **{package: _version(package) for package in PACKAGES},
        "device": device(),
        "threads": str(torch.get_num_threads()),
    }


def device() -> str:
    """The name of the GPU, or of the processor."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    cpu = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in cpu.read_text().splitlines() if line.startswith("model name")]
        if cpu.is_file()
        else []
    )
    return names[0] if names else platform.processor() or platform.machine()


def recorded(folder: Path) -> dict[str, str] | None:
    """What ``versions.json`` of a run folder holds; None if there is no such file.

    Raises:
        RunError: it is damaged.
    """
    path = folder / "versions.json"
    if not path.is_file():
        return None
    try:
        read = json.loads(path.read_text())
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise RunError(f"{path} is damaged: expected the versions that a run was made with, as JSON")
    return read


def refuse_other_data(folder: Path, data: Source) -> None:
    """Keep the run in ``folder`` from being taken for one on ``data``.

    Raises:
        RunError: it was trained on other data, or was imported.
    """
    found = recorded(folder)
    if found is None:
        return
    if "data" not in found:
        raise RunError(f"{folder} was imported, and is not trained further; use another --out")
    if (before := found["data"]) != data.fingerprint:
        raise RunError(
            f"{folder} was trained on data with fingerprint {before}, and {data.name} now has {data.fingerprint}; use "
            "another --out, or put the old data back"
        )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _commit() -> str:
    """The commit of a checkout, marked when files differ from it; nothing for an installed wheel."""
    here = Path(__file__).parents[2]
    if not (here / "pyproject.toml").is_file():
        return ""
    try:
        described = subprocess.run(
            ["git", "-C", here, "describe", "--always", "--dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"+{described.stdout.strip()}"
