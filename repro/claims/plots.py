"""Figures, readable in greyscale: each arm has a line style and a marker of its own."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # before pyplot: a figure goes to a file, also where there is no screen

import matplotlib.pyplot as plt

from repro.recipe.runs import read_metrics

STYLES = ["-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1))]
MARKERS = "osD^vP"
LEGEND_COLUMNS = 6


def curves(runs: Mapping[str, Path], path: Path, *, levels: Mapping[str, float], title: str) -> None:
    """Draw training and validation loss of several runs over tokens.

    Args:
        runs: run folders by the name that the legend gives them.
        path: the PNG to write.
        levels: horizontal lines in nats per token that give the losses their meaning, by name.
        title: what the reader must know before comparing the lines.
    """
    unit = _unit(read_metrics(next(iter(runs.values())) / "metrics.csv"))
    rows = -(-len(runs) // LEGEND_COLUMNS)
    size = (10, 4 + 0.25 * rows)  # inches
    figure, (left, right) = plt.subplots(1, 2, figsize=size, sharey=True, layout="constrained")
    for number, (name, folder) in enumerate(runs.items()):
        style = {"label": name, "linestyle": STYLES[number % len(STYLES)], "linewidth": 1.4}
        left.plot(*_curve(folder, "loss"), **style)
        right.plot(*_curve(folder, "validation_loss"), marker=MARKERS[number % len(MARKERS)], markersize=4, **style)
    for axes, what in ((left, "training loss"), (right, "validation loss")):
        for number, level in enumerate(levels.values()):
            axes.axhline(level, color="0.5", linewidth=0.8, linestyle=STYLES[number])
        axes.set(xlabel=f"{unit} (thousands)", title=what)
        axes.spines[["top", "right"]].set_visible(False)
    for name, level in levels.items():  # beside the shorter curves, where the lines are free
        right.annotate(name, (0.02, level), xycoords=("axes fraction", "data"), va="bottom", fontsize=8, color="0.35")
    left.set_ylabel(f"nats per {unit.removesuffix('s')}")
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=LEGEND_COLUMNS, frameon=False)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _curve(folder: Path, column: str) -> tuple[list[float], list[float]]:
    rows = read_metrics(folder / "metrics.csv")
    unit = _unit(rows)
    a_step = next(float(row[unit]) / int(row["step"]) for row in rows if row[unit])
    points = [(int(row["step"]) * a_step / 1000, float(row[column])) for row in rows if row[column]]
    return [x for x, _ in points], [y for _, y in points]


def _unit(rows: list[dict[str, str]]) -> str:
    """What the run went through."""
    return "samples" if any(row.get("samples") for row in rows) else "tokens"
