"""The comparison as a person sees it."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from repro.claims.compare import Comparison, compare, read
from repro.errors import RecipeError
from repro.recipe import load, runs


def start(arms: Sequence[str], *, as_json: bool, console: Console) -> None:
    """Compare recipes by name, or runs by their folders."""
    if len(arms) < 2:
        raise RecipeError(f"compare needs two arms or more, such as `repro compare {arms[0]} dense-smoke-swiglu`")
    pairs = compare([read(_folder(arm)) for arm in arms])
    if as_json:
        print(json.dumps([pair.row() for pair in pairs], indent=1))
        return
    console.print(_table(pairs))
    for pair in pairs:
        if pair.also:
            console.print(
                f"{pair.a} and {pair.b} also differ in {', '.join(pair.also)}", style="yellow", soft_wrap=True
            )
    console.print("a below b is negative. Differences of single seeds are no verdict: seeds differ among themselves.")


def _folder(text: str) -> Path:
    """The folder of one run, ``recipe@seed``, or of all seeds of a recipe as it stands."""
    if Path(text).is_dir():
        return Path(text)
    name, at, seed = text.partition("@")
    if at and not seed.isdecimal():
        raise RecipeError(f"{text}: {seed!r} is not a seed; expected a whole number, such as {name}@1")
    folder = runs.folder(load(name), int(seed or 0))
    return folder if at else folder.parent


def _table(pairs: Sequence[Comparison]) -> Table:
    title = f"validation loss, nats per {pairs[0].unit}"
    view = Table(box=None, header_style="bold", pad_edge=False, title=title, title_justify="left")
    for column in ("a", "b"):
        view.add_column(column)
    for column in ("seeds", "mean a - b"):
        view.add_column(column, justify="right")
    view.add_column("each seed's a - b")
    for pair in pairs:
        each = {seed: _nats(difference) for seed, difference in pair.differences.items()} | pair.without
        mean = "none" if pair.difference is None else _nats(pair.difference)
        view.add_row(pair.a, pair.b, str(len(each)), mean, "  ".join(f"{seed}: {each[seed]}" for seed in sorted(each)))
    return view


def _nats(difference: float) -> str:
    return f"{difference:+.4g}" if abs(difference) >= 1000 else f"{difference:+.4f}"
