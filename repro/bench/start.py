"""Benchmarks as a person sees them. Each imports what it needs when it is run."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from repro.bench.rows import Figure, expect, write
from repro.errors import ReproError, nearest
from repro.paths import prove

NAMES = ("step", "loader", "tokenise", "images", "activations", "ffn", "decode", "tasks")
FILE = "bench.csv"  # of those that end in no file of their own


def start(what: str, *, out: Path | None, console: Console) -> None:
    """Run one benchmark, print its figures as they come, and append them to a CSV in ``out``.

    Raises:
        ReproError: there is no such benchmark, or ``out`` cannot be written.
    """
    if what not in NAMES:
        raise ReproError(f"there is no benchmark {what!r}.{nearest(what, NAMES)} There are: {', '.join(NAMES)}.")
    if out:
        _prove(out)  # before minutes of measuring
    if what == "activations":
        from repro.bench import activations

        activations.start(out, console)
    elif what == "ffn":
        from repro.bench import ffn

        ffn.start(out, console)
    elif what == "decode":
        from repro.bench import decode

        decode.start(out, console)
    elif what == "step":
        _step(out, console)
    else:
        _print(what, out, console)


def _prove(folder: Path) -> None:
    """Make the folder, and a file in it that goes at once."""
    if folder.exists() and not folder.is_dir():
        raise ReproError(f"--out expects a folder, and {folder} is a file; name a folder")
    try:
        prove(folder)
    except OSError as error:
        raise ReproError(f"--out {folder} cannot be written ({error.strerror}); name another folder") from error


def _step(out: Path | None, console: Console) -> None:
    """Training steps on a GPU, where there is one, and the trainer's overhead on a CPU."""
    from repro.bench import training

    if out:
        _expect("step", out)
        training.prove(out)
    if not training.possible():
        _print("step", out, console)
        training.refuse(console)
        return
    training.start(out, console)
    _print("step", out, console)


def _expect(what: str, out: Path) -> None:
    expect(out / FILE, Figure("", 0.0, "").row(what))


def _print(what: str, out: Path | None, console: Console) -> None:
    if out:
        _expect(what, out)
    measured = []
    for figure in _figures(what):
        console.print(f"{figure.case:56s} {figure.value:10.4g} {figure.unit}", highlight=False, soft_wrap=True)
        measured.append(figure)
    if out:
        write(out / FILE, what, measured)
    if what == "images":
        _judge(measured, console)


def _judge(measured: list[Figure], console: Console) -> None:
    from repro.bench import tables, targets

    figures = {(figure.case, figure.unit): figure.value for figure in measured}
    tables.print_targets(console, targets.judged(targets.IMAGES, figures))


def _figures(what: str) -> Iterator[Figure]:
    if what == "loader":
        from repro.bench import loader

        return loader.measure()
    if what == "tokenise":
        from repro.bench import tokenising

        return tokenising.measure()
    if what == "images":
        from repro.bench import images

        return images.measure()
    if what == "tasks":
        from repro.bench import tasks

        return tasks.measure()
    from repro.bench import step
    from repro.data.locate import ready
    from repro.recipe import LanguageRecipe, load, machine

    recipe = load("dense-smoke-polynorm")
    assert isinstance(recipe, LanguageRecipe)
    return step.measure(machine("cpu"), ready(recipe.data, recipe.model.vocab_size))
