"""Larger models against smaller ones: the sparsity of this run and of those beside it that have been looked into."""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Self

from repro.analysis.figures import sparsity as figures
from repro.analysis.sparsity.study import USUAL
from repro.errors import ReproError
from repro.inspection.found import Drawn, Row
from repro.recipe import Recipe, from_file
from repro.recipe.families import MoERecipe
from repro.recipe.parameters import count
from repro.recipe.schema import DecoderRecipe
from repro.training.trained import Trained


@dataclass(frozen=True)
class Sized:
    """A run.

    Attributes:
        activation: its name, and whether there are experts.
        parameters: without embeddings.
        recipe: its name.
        sparsity: share of inactive neurons at the usual tau, the mean over layers.
    """

    activation: str
    parameters: int
    recipe: str
    sparsity: float

    @classmethod
    def of(cls, recipe: Recipe, rows: Sequence[Mapping[str, object]]) -> Self:
        """By the table ``sparsity`` of a checkpoint.

        Raises:
            ValueError: the recipe has no FFN, or the table no such tau.
        """
        if not isinstance(recipe, DecoderRecipe):
            raise ValueError(f"{recipe.name} has no FFN")
        name = f"{recipe.model.activation}{', experts' if isinstance(recipe, MoERecipe) else ''}"
        shares = [float(str(row["sparsity"])) for row in rows if float(str(row["tau"])) == USUAL]
        return cls(name, count(recipe.model).non_embedding, recipe.name, fmean(shares))


def ladder(newest: Trained, rows: Sequence[Row]) -> list[Sized]:
    """This run, of whose newest checkpoint ``rows`` are, and those in the same ``runs`` whose analysis can be read."""
    return [Sized.of(newest.recipe, rows), *_beside(newest.folder.resolve(), newest.recipe.name)]


def table(runs: Sequence[Sized]) -> list[Row]:
    """A row for each activation and size; none where no activation has two sizes."""
    groups: dict[tuple[str, int], list[Sized]] = {}
    for run in sorted(runs, key=lambda run: (run.activation, run.parameters)):
        groups.setdefault((run.activation, run.parameters), []).append(run)
    if max(Counter(activation for activation, _ in groups).values()) < 2:
        return []
    return [
        {
            "activation": activation,
            "parameters": parameters,
            "runs": len(group),
            "recipes": ", ".join(sorted({run.recipe for run in group})),
            "tau": USUAL,
            "sparsity": fmean(run.sparsity for run in group),
        }
        for (activation, parameters), group in groups.items()
    ]


def drawn(rows: Sequence[Row]) -> Drawn:
    """Of the table."""
    shares: dict[str, dict[int, float]] = {}
    for row in rows:
        shares.setdefault(row["activation"], {})[row["parameters"]] = row["sparsity"]
    named = "; ".join(f"{row['recipes']}: {_runs(row['runs'])}" for row in rows)
    return Drawn(
        figures.by_size(shares, f"Inactive neurons at CETT {USUAL} by size"),
        "Larger models against smaller",
        "Means over layers, and over runs of a size. Of this run and of those in the same folder of runs that have "
        f"been analysed so far, each as it was then: {named}. They may differ in text, in training and in the sample: "
        "what is drawn is not the effect of size alone.",
    )


def _beside(run: Path, recipe: str) -> Iterator[Sized]:
    if len(run.parents) < 3 or run.parents[1].name != recipe:
        return  # it does not lie where runs lie, so that nothing is known of what is around it
    for path in sorted(run.parents[2].glob("*/*/*/analysis/sparsity.csv")):
        other = path.parents[1]
        if other != run and (found := _read(other, path)):
            yield found


def _read(run: Path, path: Path) -> Sized | None:
    """None of one that cannot be read: it is of another time, or somebody is writing it."""
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        newest = max(int(row["step"]) for row in rows)
        return Sized.of(from_file(run / "recipe.yaml"), [row for row in rows if int(row["step"]) == newest])
    except (OSError, ReproError, ValueError, KeyError, TypeError, csv.Error):
        return None


def _runs(n: int) -> str:
    return f"{n} runs" if n > 1 else "1 run"
