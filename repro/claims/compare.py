"""Two or more recipes side by side, paired by seed."""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import yaml

from repro.errors import RunError
from repro.recipe.reading import leaves


@dataclass(frozen=True)
class Arm:
    """The finished runs of one recipe: per-sequence losses of the last validation, in nats per token, by seed."""

    name: str
    recipe: dict[str, Any]  # by dotted key
    losses: dict[int, np.ndarray[Any, Any]]
    data: str  # fingerprint of the data


@dataclass(frozen=True)
class Comparison:
    """Arm ``a`` against arm ``b`` over the seeds that both have; negative differences favour ``a``."""

    a: str
    b: str
    differences: dict[int, float]  # of the mean validation loss, nats per token
    also: tuple[str, ...]  # keys other than the activation in which the recipes differ

    def row(self) -> dict[str, Any]:
        """The keys of ``compare --json``. What asks for statistics is null until there is a verdict."""
        return {
            "a": self.a,
            "b": self.b,
            "verdict": None,
            "difference": mean(self.differences.values()),
            "interval": None,
            "p": None,
            "p_adjusted": None,
            "pairs": len(self.differences),
            "smallest_detectable": None,
            "also_differ_in": list(self.also),
            "by_seed": {str(seed): difference for seed, difference in self.differences.items()},
        }


def read(folder: Path) -> Arm:
    """The finished runs in ``folder``: a run folder ``seed-<n>``, or a folder that holds several.

    Raises:
        RunError: there is none, one cannot be read, or they were trained on different data.
    """
    runs = [folder] if folder.name.startswith("seed-") else sorted(folder.glob("seed-*"))
    finished = [run for run in runs if (run / "result.json").is_file()]
    if not finished:
        raise RunError(f"{folder} holds no finished run; `repro run` starts one, and goes on with a partial one")
    try:
        data = {json.loads((run / "versions.json").read_text())["data"] for run in finished}
        recipe = dict(leaves(yaml.safe_load((finished[0] / "recipe.yaml").read_text())))
        losses = {int(run.name.removeprefix("seed-")): np.load(run / "validation.npy")[-1] for run in finished}
    except (OSError, ValueError, KeyError, IndexError, TypeError, yaml.YAMLError) as error:
        raise RunError(f"the runs in {folder} cannot be read: {' '.join(str(error).split())}") from error
    if len(data) > 1:
        raise RunError(f"the runs in {folder} were trained on different data ({', '.join(sorted(data))})")
    return Arm(recipe["name"], recipe, losses, data.pop())


def compare(arms: list[Arm]) -> list[Comparison]:
    """Every pair of arms, in the order given.

    Raises:
        RunError: two arms were validated on different sequences, or share no seed.
    """
    return [_pair(a, b) for a, b in itertools.combinations(arms, 2)]


def _pair(a: Arm, b: Arm) -> Comparison:
    shared = sorted(a.losses.keys() & b.losses.keys())
    if not shared:
        raise RunError(
            f"{a.name} has seeds {sorted(a.losses)} and {b.name} has {sorted(b.losses)}: no seed in common to pair"
        )
    if a.data != b.data or any(a.losses[seed].shape != b.losses[seed].shape for seed in shared):
        raise RunError(
            f"{a.name} and {b.name} were validated on different sequences, so their losses cannot be compared"
        )
    differences = {seed: float(np.mean(a.losses[seed] - b.losses[seed], dtype=np.float64)) for seed in shared}
    return Comparison(a.name, b.name, differences, _also(a.recipe, b.recipe))


def _also(a: dict[str, Any], b: dict[str, Any]) -> tuple[str, ...]:
    keys = sorted(a.keys() | b.keys())
    return tuple(k for k in keys if "." in k and k != "model.activation" and a.get(k) != b.get(k))
