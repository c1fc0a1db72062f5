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
    console.print("a below b is negative. Differences of single seeds are no verdict: seeds differ among themselves.")


def _folder(text: str) -> Path:
    if Path(text).is_dir():
        return Path(text)
    return runs.find(text) if "@" in text else runs.folder(load(text), 0).parent


def _table(pairs: Sequence[Comparison]) -> Table:
    view = Table(
        box=None, header_style="bold", pad_edge=False, title="validation loss, nats per token", title_justify="left"
    )
    for column in ("a", "b"):
        view.add_column(column)
    for column in ("seeds", "mean a - b"):
        view.add_column(column, justify="right")
    view.add_column("each seed's a - b")
    for pair in pairs:
        each = "  ".join(f"{seed}: {difference:+.4f}" for seed, difference in pair.differences.items())
        view.add_row(pair.a, pair.b, str(len(pair.differences)), f"{pair.row()['difference']:+.4f}", each)
    return view
