"""Where runs lie, ``runs/<recipe>/<fingerprint>/seed-<n>``, and how their metrics are read."""

import csv
from pathlib import Path

from repro import paths
from repro.errors import RunError
from repro.recipe.loading import load
from repro.recipe.schema import Recipe
from repro.recipe.science import fingerprint

IMPORTED = "imported.yaml"  # in a run's folder: where its weights are from, if others trained them


def folder(recipe: Recipe, seed: int, out: Path | None = None) -> Path:
    """The folder of a run, under ``out`` or ``runs``."""
    return (out or paths.runs()) / recipe.name / fingerprint(recipe) / f"seed-{seed}"


def is_imported(run: Path) -> bool:
    """Whether others trained its weights, so that it names no data of its own."""
    return (run / IMPORTED).is_file()


def find(text: str, out: Path | None = None) -> Path:
    """The run that a person means by a folder or by ``recipe[@seed]``.

    Raises:
        RecipeError: no recipe has this name.
        RunError: there is no such run, or more than one.
    """
    if Path(text).is_dir():
        return _run(Path(text))
    if "/" in text:
        raise RunError(f"{text}: there is no such folder; expected a run's folder or recipe[@seed]")
    name, _, seed = text.partition("@")
    return _only(_all(load(name).name, seed, out or paths.runs()), text, out or paths.runs())


def read_metrics(path: Path) -> list[dict[str, str]]:
    """The rows of a ``metrics.csv``, as text, without one that is half written or that a crash cut short."""
    with path.open(newline="", errors="replace") as file:
        return [row for row in csv.DictReader(file) if None not in row.values() and row["step"].isdecimal()]


def _run(path: Path) -> Path:
    if not (path / "recipe.yaml").is_file():
        raise RunError(f"{path} is not a run's folder: it has no recipe.yaml")
    return path


def _all(name: str, seed: str, root: Path) -> list[Path]:
    if seed and not seed.isdecimal():
        raise RunError(f"{name}@{seed}: {seed!r} is not a seed; expected a whole number, such as {name}@1")
    return sorted(path.parent for path in root.glob(f"{name}/*/seed-{seed or '*'}/recipe.yaml"))


def _only(found: list[Path], text: str, root: Path) -> Path:
    if not found:
        name = text.partition("@")[0]
        others = ", ".join(str(path.parent) for path in sorted(root.glob(f"{name}/*/imported-*/{IMPORTED}")))
        way_out = f"name the folder of imported weights: {others}" if others else f"`repro run {name}` makes one"
        raise RunError(f"no run of {text} lies in {root}; {way_out}")
    if len(found) > 1:
        raise RunError(f"{text} could be any of {len(found)} runs; name one: {', '.join(map(str, found))}")
    return found[0]
