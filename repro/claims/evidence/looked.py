"""What ``repro analyze`` found of a run, as the numbers of its row: from the tables beside it, without torch."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from repro.recipe import Recipe
from repro.recipe.runs import read_metrics
from repro.recipe.schema import DecoderRecipe

Table = Sequence[Mapping[str, str]]
CETT, SHARE = 0.2, 0.9  # at which neurons count as inactive; of neurons that are left out


def looked_at(run: Path, recipe: Recipe) -> dict[str, Any]:
    """The columns of a row, None where nobody has looked; ranks and streams are those of decoders."""
    decoder = isinstance(recipe, DecoderRecipe)
    return {
        "normalised_rank": _of(run, "weights", _rank) if decoder else None,
        "similarity": _of(run, "similarity", _similarity) if decoder else None,
        "overflow_fp16": _of(run, "overflow", _overflow),
        "inactive": _of(run, "sparsity", _inactive),
        "loss_at_90": _of(run, "sparsity_loss", _loss_without),
        "recall": _of(run, "sparsity_predictor", _recall),
    }


def _of(run: Path, table: str, number: Callable[[Table], float]) -> float | None:
    """Of the newest checkpoint that was looked at."""
    path = run / "analysis" / f"{table}.csv"
    if not path.is_file():
        return None
    rows = read_metrics(path)
    last = max(int(row["step"]) for row in rows)
    return number([row for row in rows if int(row["step"]) == last])


def _rank(rows: Table) -> float:
    """A layer counts once, however many matrices it has."""
    layers: dict[str, list[float]] = {}
    for row in rows:
        layers.setdefault(row["layer"], []).append(float(row["normalised_rank"]))
    return mean(mean(ranks) for ranks in layers.values())


def _similarity(rows: Table) -> float:
    return next(float(row["mean"]) for row in rows if (row["name"], row["tokens"]) == ("stream", "all"))


def _overflow(rows: Table) -> float:
    """Of the highest power, since a number whose square is too large has a cube that is."""
    return max(float(row["overflow_share"]) for row in rows if row["format"] == "float16")


def _inactive(rows: Table) -> float:
    return mean(float(row["sparsity"]) for row in rows if float(row["tau"]) == CETT)


def _loss_without(rows: Table) -> float:
    left_out = [row for row in rows if row["by"] == "length" and float(row["asked"]) == SHARE]
    return float(left_out[0]["increase_nats"])


def _recall(rows: Table) -> float:
    return mean(float(row["recall"]) for row in rows)
