"""Benchmarks as a person sees them."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from repro.bench import loader, step
from repro.bench.rows import Figure, write
from repro.data.locate import ready
from repro.errors import ReproError, nearest
from repro.recipe import load, machine


def start(what: str, *, out: Path | None, console: Console) -> None:
    """Run one benchmark, print its figures as they come, and append them to ``out``."""
    if out:
        out.mkdir(parents=True, exist_ok=True)  # before minutes of measuring
    measured = []
    for figure in _figures(what):
        console.print(f"{figure.case:56s} {figure.value:10.4g} {figure.unit}", highlight=False, soft_wrap=True)
        measured.append(figure)
    if out:
        write(out / "bench.csv", what, measured)


def _figures(what: str) -> Iterator[Figure]:
    if what == "step":
        recipe = load("dense-smoke-polynorm")
        return step.measure(machine("cpu"), ready(recipe.data, recipe.model.vocab_size))
    if what == "loader":
        return loader.measure()
    raise ReproError(f"there is no benchmark {what!r}.{nearest(what, ['step', 'loader'])} There are: step, loader.")
