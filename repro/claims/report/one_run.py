"""One run: what it is, what it came to beside what the paper prints where that compares, and what it cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import yaml

from repro.claims.evidence import runs
from repro.claims.evidence.rows import Curve, Row
from repro.claims.evidence.study import MECHANISM
from repro.claims.ledger import published
from repro.claims.report import answered, numbers
from repro.claims.report.answered import Answered
from repro.claims.report.blocks import Block, Code, Figure, Figures, Line, Note, Page, Section, Table, Text
from repro.claims.report.looks import looks
from repro.claims.report.one_study import STAMPED
from repro.claims.report.pages import made
from repro.claims.report.svg import Series, lines
from repro.errors import RunError
from repro.recipe.display import duration
from repro.recipe.reading import leaves

# Of a family and a scale: its tables, and how many tokens they are of.
COMPARABLE: dict[tuple[str, str], tuple[tuple[int, ...], float]] = {
    ("dense", "1b"): ((1,), 250e9),
    ("moe", "1b7b"): ((2, 3), 200e9),
}
ASKED = {1: "--tasks table-1", 2: "--sets ppl-validation-v3", 3: "--tasks table-3"}
BESIDE_TASKS = ("average", "ppl", "train_loss")  # columns that are no tasks
NO_PPL = "never compared: neither its set nor its unit is named"
NO_TABLE = (
    "No table of the paper has a row for it: losses compare only between networks of one size, on the same data and "
    "tokenizer, and the paper's sizes are dense-1b and moe-1b7b."
)
ONE = "It is one run of one seed: whether two activations differ is a matter of several seeds of each."


def page(run: Path) -> Page:
    """All of it.

    Raises:
        RunError: it is not finished, or a file of it is damaged.
    """
    row = runs.row(run, study="", form="", rung="", role="main", arm=_activation(run), factor=1.0)
    curve = runs.curve(run, row)
    blocks: list[Block] = [Note(STAMPED)] if row.recipe.split("-")[1] == MECHANISM else []
    asked = answered.tasks(run)
    blocks += [Text(ONE), _came_to(row), _curves(row, curve), _beside(row, asked), *_tasks(asked)]
    blocks += [_cost(row), _recipe(run), _from(run, row)]
    return Page(f"{row.recipe}, seed {row.seed}", tuple(blocks), made())


def _activation(run: Path) -> str:
    return str(_yaml(run / "recipe.yaml").get("name", run.name)).split("-")[-1]


def _came_to(row: Row) -> Section:
    ended = "diverged" if row.diverged_at is not None else "ended"
    cells: list[tuple[Line, ...]] = [
        (ended, f"after {row.steps:,} steps, {row.tokens:,} {_things(row)}"),
        ("validation loss", _of(row.validation_loss, f"nats per {_things(row).rstrip('s')}")),
        ("training loss", _of(row.train_loss, "the mean of the last twentieth")),
        ("top 1", "" if row.top1 is None else f"{100 * row.top1:.2f} %"),
        ("diverged at step", "" if row.diverged_at is None else f"{row.diverged_at:,}"),
        ("steps skipped by the guard", f"{row.skipped_steps:,}"),
        ("spikes of the loss", f"{row.spikes:,}"),
        ("largest activation", numbers.shown(row.largest_magnitude)),
        ("effective rank of FFN weights over a random matrix's", numbers.shown(row.normalised_rank)),
        ("cosine of layers", numbers.shown(row.similarity)),
    ]
    kept = tuple(cell for cell in cells if cell[1])
    return Section("What it came to", "came-to", (Table("At its end", ("what", "how much"), kept),))


def _of(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.4f} ({unit})"


def _curves(row: Row, curve: Curve) -> Block:
    """Both losses, with their beginning: there is no second line that it would hide."""
    parts = {"validation": curve.validation_loss, "training": curve.train_loss}
    found = {}
    for name, losses in parts.items():
        points = [(float(x), y) for x, y in zip(curve.tokens, losses, strict=True) if y is not None]
        if points:
            found[name] = tuple(zip(*points, strict=True))
    if not found:
        return Text("It has no validation that is finite, so there is no curve.")
    look = looks(found)
    drawn = [Series(name, xs, ys, look[name]) for name, (xs, ys) in found.items()]
    ends = ", ".join(f"{name} {ys[-1]:.4f}" for name, (_, ys) in found.items())
    alt = f"Losses of {row.recipe}, seed {row.seed}, as it trains; they end at {ends}"
    unit = f"nats per {_things(row).rstrip('s')}"
    svg = lines(drawn, title=f"{row.recipe}, seed {row.seed}", x_label=_things(row), y_label=unit, alt=alt)
    return Figures(
        (Figure("curves", svg, alt, "Losses at every validation; the training loss is a mean up to there."),)
    )


def _beside(row: Row, asked: Mapping[str, Answered]) -> Section:
    family, scale, activation = row.recipe.split("-")
    of, whole = COMPARABLE.get((family, scale), ((), 0.0))
    blocks: list[Block] = [_row_beside(row, number, activation, asked) for number in of]
    if not of:
        blocks.append(Text(NO_TABLE))
    elif row.tokens < 0.99 * whole:
        tables = " and ".join(f"Table {number} is" for number in of)
        blocks = [Text(f"It trained on {row.tokens:,} tokens, and {tables} of {whole:,.0f}: not compared.")]
    return Section("Beside the paper", "beside", tuple(blocks))


def _row_beside(row: Row, number: int, activation: str, asked: Mapping[str, Answered]) -> Block:
    cells = [cell for cell in published.table(number) if cell.row == activation]
    if not cells:
        return Text(f"Table {number} has no row for {activation}.")
    ours = _ours(row, [cell.column for cell in cells], asked)
    command = Code(f"repro eval RUN {ASKED[number]}")
    rows = tuple((_named(cell.column), cell.text, ours.get(cell.column, command), cell.unit) for cell in cells)
    return Table(f"Table {number}, {activation}", ("", " paper", "this run", "unit"), rows)


def _ours(row: Row, columns: Sequence[str], asked: Mapping[str, Answered]) -> dict[str, str]:
    """What the run has in the places of printed numbers: of tasks what it answered at its end, asked all items."""
    ended = {name: each for name, each in asked.items() if (each.step, each.limit) == (row.steps, None)}
    found = {"ppl": NO_PPL, "train_loss": numbers.nats(row.train_loss)}
    found |= {name: each.shown for name, each in ended.items()}
    tasks = set(columns) - {*BESIDE_TASKS}
    if tasks <= ended.keys():
        found["average"] = f"{100 * mean(ended[name].value for name in tasks):.2f}"
    return found


def _named(column: str) -> str:
    return column.replace("_", " ")


def _tasks(asked: Mapping[str, Answered]) -> list[Block]:
    """All that it was asked, whether or not the paper has it."""
    if not asked:
        return []
    rows = tuple((name, f"{each.step:,}", each.shown, each.metric, each.of) for name, each in asked.items())
    caption = "Per cent with the standard error over items, at the newest checkpoint that was asked"
    header = ("task", " step", " right", "metric", " items")
    return [Section("Tasks", "tasks", (Table(caption, header, rows),))]


def _cost(row: Row) -> Section:
    cells = (
        ("parameters", f"{row.parameters:,}"),
        ("in FFN matrices", "" if row.ffn_matrices is None else f"{row.ffn_matrices:,}"),
        ("FLOPs", f"{row.flops:.4g}"),
        (f"{_things(row)} a second", numbers.shown(row.tokens_per_second)),
        ("time, without compiling and validating", "" if row.seconds is None else duration(row.seconds / 3600)),
        ("memory, GB", numbers.shown(row.memory_gb)),
        ("learning rate", f"{row.lr:.4g}"),
    )
    kept = tuple(cell for cell in cells if cell[1])
    return Section("What it cost", "cost", (Table(f"On {row.device}, {row.precision}", ("what", "how much"), kept),))


def _recipe(run: Path) -> Section:
    origins = _yaml(run / "origin.yaml")
    rows = tuple(
        (Code(key), "null" if value is None else str(value), str(origins.get(key, "")))
        for key, value in leaves(_yaml(run / "recipe.yaml"))
    )
    return Section("Recipe", "recipe", (Table("Every value, and what set it", ("key", "value", "set by"), rows, True),))


def _from(run: Path, row: Row) -> Section:
    cells: tuple[tuple[Line, ...], ...] = (
        ("folder", Code(str(run))),
        ("fingerprint of its science", Code(row.fingerprint)),
        ("data", Code(row.data)),
        ("kit", row.repro),
        ("device", row.device),
        ("versions", f"torch {row.torch}, lightning {row.lightning}, triton {row.triton}, python {row.python}"),
        ("date", row.date),
    )
    return Section("Where it is from", "provenance", (Table("Provenance", ("what", ""), cells),))


def _things(row: Row) -> str:
    return "images" if row.recipe.split("-")[0] in ("resnet50", "mlp") else "tokens"


def _yaml(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RunError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    return found if isinstance(found, dict) else {}
