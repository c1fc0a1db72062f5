"""What evaluations found, as a person reads it in a terminal of 80 columns."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table

from repro.evaluation import bootstrap
from repro.evaluation.results import Row

NOTEWORTHY = 0.01  # a share of items
NOT_COMPARABLE = (
    'The "PPL" of the paper\'s Table 1 names neither its set nor its unit: no perplexity here is comparable with it.'
)


def show_losses(rows: Sequence[Row], console: Console) -> None:
    """A table for each set, then what the intervals are."""
    for name, group in groupby(sorted(rows, key=lambda row: row["set"]), key=lambda row: row["set"]):
        own = list(group)
        console.print(_losses(name, own))
    for line in _remarks(rows):
        console.print(line, highlight=False, markup=False)


def show_tasks(rows: Sequence[Row], console: Console) -> None:
    """A table of tasks, each with the metric and the split that its table used."""
    view = _table("tasks, shares in percent ± standard error over items")
    for column in ("step", "task", "table", "split", "items", "metric", "value"):
        view.add_column(column, justify="right" if column in {"step", "items", "value"} else "left")
    for row in rows:
        words = [row[name] for name in ("task", "table", "split")]
        view.add_row(f"{row['step']:,}", *words, f"{row['items']:,}", row["metric"], _scored(row))
    console.print(view)
    for line in _remarks_of_tasks(rows):
        console.print(line, highlight=False, markup=False)


def show_images(rows: Sequence[Row], console: Console) -> None:
    """A row for each checkpoint."""
    view = _table("validation images: answers that are right, in percent ± standard error over images")
    for column in ("step", "images", "top-1", "top-5", "nats per image"):
        view.add_column(column, justify="right")
    for row in rows:
        shares = [f"{100 * row[name]:.2f} ± {100 * row[f'{name}_error']:.2f}" for name in ("top1", "top5")]
        view.add_row(f"{row['step']:,}", f"{row['images']:,}", *shares, _number(row["nats_per_image"], 4))
    console.print(view)


def _losses(name: str, rows: Sequence[Row]) -> Table:
    view = _table(name)
    parted = any(row["subset"] != name for row in rows)
    for column in (
        "step",
        *(["part"] if parted else []),
        "nats per\ntoken",
        "95 %\ninterval",
        "perplexity",
        "bits per\nbyte",
    ):
        view.add_column(column, justify="left" if column == "part" else "right")
    for row in rows:
        part = [row["subset"]] if parted else []
        nats, low, high = (_number(row[f"nats_per_token{end}"], 4) for end in ("", "_low", "_high"))
        interval = f"{low} to {high}" if row["nats_per_token_low"] is not None else "none"
        view.add_row(
            f"{row['step']:,}", *part, nats, interval, _short(row["perplexity"]), _number(row["bits_per_byte"], 4)
        )
    return view


def _remarks(rows: Sequence[Row]) -> Iterator[str]:
    labels = {row["interval"] for row in rows}
    if bootstrap.LABEL in labels:
        yield f"95 % interval: documents resampled {bootstrap.RESAMPLES:,} times. It holds no other seed of training."
    if few := {row["subset"] for row in rows if 1 < row["documents"] < bootstrap.FEW}:
        yield f"Of fewer than {bootstrap.FEW} documents an interval is too narrow: {', '.join(sorted(few))}."
    if single := {row["subset"] for row in rows if row["documents"] == 1}:
        yield f"Of one document there is no interval: {', '.join(sorted(single))}."
    if asked := {f"{row['set']} (tokens={row['tokens_asked']})" for row in rows if row["tokens_asked"]}:
        yield f"Not all of a set, but windows spread evenly over each part of it: {', '.join(sorted(asked))}."
    yield NOT_COMPARABLE


def _remarks_of_tasks(rows: Sequence[Row]) -> Iterator[str]:
    if few := {f"{row['task']} (limit={row['limit']})" for row in rows if row["limit"]}:
        yield f"Not all items of {', '.join(sorted(few))}."
    for name, share, context in dict.fromkeys((row["task"], _cut(row), row.get("context")) for row in rows):
        if share > NOTEWORTHY:
            yield f"Of {name} {100 * share:.0f} % of items did not fit the context of {context:,} tokens."


def _cut(row: Row) -> float:
    return float(row["metrics"].get("cut", 0.0)) if row.get("context") else 0.0


def _scored(row: Row) -> str:
    """Bits per byte are no share."""
    times, digits = (1, 4) if row["metric"] == "bits_per_byte" else (100, 2)
    value, error = (None if row[name] is None else times * row[name] for name in ("value", "error"))
    return _number(value, digits) + ("" if error is None else f" ± {error:.{digits}f}")


def _table(title: str) -> Table:
    return Table(box=None, header_style="bold", pad_edge=False, title=title, title_justify="left")


def _number(value: float | None, digits: int) -> str:
    return "none" if value is None else f"{value:.{digits}f}"


def _short(value: float | None) -> str:
    return "none" if value is None else f"{value:,.2f}" if value < 1e5 else f"{value:.3g}"
