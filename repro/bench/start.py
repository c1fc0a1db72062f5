"""Benchmarks as a person sees them. Each imports what it needs when it is run."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from repro.bench.rows import Figure, write
from repro.errors import ReproError, nearest

NAMES = ("step", "loader", "activations", "ffn")


def start(what: str, *, out: Path | None, console: Console) -> None:
    """Run one benchmark, print its figures as they come, and append them to a CSV in ``out``."""
    if what not in NAMES:
        raise ReproError(f"there is no benchmark {what!r}.{nearest(what, NAMES)} There are: {', '.join(NAMES)}.")
    if out:
        out.mkdir(parents=True, exist_ok=True)  # before minutes of measuring
    if what == "activations":
        from repro.bench import activations

        activations.start(out, console)
    elif what == "ffn":
        from repro.bench import ffn

        ffn.start(out, console)
    else:
        _print(what, out, console)


def _print(what: str, out: Path | None, console: Console) -> None:
    measured = []
    for figure in _figures(what):
        console.print(f"{figure.case:56s} {figure.value:10.4g} {figure.unit}", highlight=False, soft_wrap=True)
        measured.append(figure)
    if out:
        write(out / "bench.csv", what, measured)


def _figures(what: str) -> Iterator[Figure]:
    if what == "loader":
        from repro.bench import loader

        return loader.measure()
    from repro.bench import step
    from repro.data.locate import ready
    from repro.recipe import LanguageRecipe, load, machine

    recipe = load("dense-smoke-polynorm")
    assert isinstance(recipe, LanguageRecipe)
    return step.measure(machine("cpu"), ready(recipe.data, recipe.model.vocab_size))
