"""Two or more recipes side by side, paired by seed."""

import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import yaml

from repro.errors import RunError
from repro.recipe.loading import EARLIER
from repro.recipe.reading import leaves


@dataclass(frozen=True)
class Arm:
    """The finished runs of one recipe, by seed: the losses of the last validation, in nats, or where they diverged.

    A loss is that of a sequence, per token, or that of an image.
    """

    name: str
    recipe: dict[str, Any]  # by dotted key
    losses: dict[int, np.ndarray[Any, Any]]
    diverged: dict[int, int]  # steps
    data: str  # fingerprint of the data

    @property
    def seeds(self) -> set[int]:
        """Those that have a result."""
        return self.losses.keys() | self.diverged.keys()


@dataclass(frozen=True)
class Comparison:
    """Arm ``a`` against arm ``b`` over the seeds that both have; negative differences favour ``a``."""

    a: str
    b: str
    differences: dict[int, float]  # of the mean validation loss, nats per ``unit``
    without: dict[int, str]  # seeds at which an arm has no loss that is finite: which, and why
    also: tuple[str, ...]  # keys other than the activation in which the recipes differ
    unit: str  # token or image

    @property
    def difference(self) -> float | None:
        """The mean over seeds; None if one has none, since the mean of the others would favour who diverges."""
        return None if self.without else mean(self.differences.values())

    def row(self) -> dict[str, Any]:
        """The keys of ``compare --json``. What asks for statistics is null until there is a verdict."""
        return {
            "a": self.a,
            "b": self.b,
            "verdict": None,
            "difference": self.difference,
            "interval": None,
            "p": None,
            "p_adjusted": None,
            "pairs": len(self.differences),
            "smallest_detectable": None,
            "also_differ_in": list(self.also),
            "by_seed": {str(seed): self.differences.get(seed) for seed in sorted({*self.differences, *self.without})},
            "without": {str(seed): why for seed, why in self.without.items()},
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
        recipe = EARLIER | dict(leaves(yaml.safe_load((finished[0] / "recipe.yaml").read_text())))
        results = {run: json.loads((run / "result.json").read_text()).get("diverged_at") for run in finished}
        diverged = {_seed(run): int(step) for run, step in results.items() if step is not None}
        losses = {_seed(run): np.load(run / "validation.npy")[-1] for run, step in results.items() if step is None}
    except (OSError, ValueError, KeyError, IndexError, TypeError, yaml.YAMLError) as error:
        raise RunError(f"the runs in {folder} cannot be read: {' '.join(str(error).split())}") from error
    if len(data) > 1:
        raise RunError(f"the runs in {folder} were trained on different data ({', '.join(sorted(data))})")
    return Arm(recipe["name"], recipe, losses, diverged, data.pop())


def compare(arms: list[Arm]) -> list[Comparison]:
    """Every pair of arms, in the order given.

    Raises:
        RunError: two arms were validated on different data, or share no seed.
    """
    return [_pair(a, b) for a, b in itertools.combinations(arms, 2)]


def _pair(a: Arm, b: Arm) -> Comparison:
    shared = sorted(a.seeds & b.seeds)
    if not shared:
        raise RunError(
            f"{a.name} has seeds {sorted(a.seeds)} and {b.name} has {sorted(b.seeds)}: no seed in common to pair"
        )
    unit = "image" if "budget.epochs" in a.recipe else "token"
    both = a.losses.keys() & b.losses.keys()
    if a.data != b.data or any(a.losses[seed].shape != b.losses[seed].shape for seed in both):
        raise RunError(f"{a.name} and {b.name} were validated on different data, so their losses cannot be compared")
    without = {seed: why for seed in shared if (why := _lacking(a, b, seed))}
    differences = {seed: _difference(a.losses[seed], b.losses[seed]) for seed in shared if seed not in without}
    return Comparison(a.name, b.name, differences, without, _also(a.recipe, b.recipe), unit)


def _difference(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    return float(np.mean(a - b, dtype=np.float64))


def _lacking(a: Arm, b: Arm, seed: int) -> str:
    """Why there is no difference at this seed; nothing if there is one."""
    found = []
    for column, arm in (("a", a), ("b", b)):
        if seed in arm.diverged:
            found.append(f"{column} diverged at step {arm.diverged[seed]:,}")
        elif not math.isfinite(np.mean(arm.losses[seed], dtype=np.float64)):
            found.append(f"{column} is not finite")
    return ", ".join(found)


def _seed(run: Path) -> int:
    return int(run.name.removeprefix("seed-"))


def _also(a: dict[str, Any], b: dict[str, Any]) -> tuple[str, ...]:
    keys = sorted(a.keys() | b.keys())
    return tuple(k for k in keys if "." in k and k != "model.activation" and a.get(k) != b.get(k))
