"""Verbs that look into what was trained, and into what the paper proves."""

from pathlib import Path
from typing import Annotated

import typer

from repro.cli import words
from repro.cli.app import app


@app.command()
def analyze(of: words.Of, settings: words.Settings = None, *, on: words.On = "here") -> None:
    """Look into a run: ranks of weights, similarity of states, activations, sparsity.

    Writes tables, figures and a page to the run's folder, analysis/. Settings:

    parts=weights,states,activations,sparsity  some of them
    tokens=N     of the held-out text that is read (images=N: of images)
    set=NAME     another prepared set to read
    step=N       one checkpoint, instead of all or the newest
    against=RUN  a second model, whose states are compared with this one's
    """
    from repro.inspection.start import start

    start(of, settings or (), on=on, console=words.console())


@app.command()
def theory(
    settings: words.Settings = None,
    *,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Instead of ./theory.")] = None,
) -> None:
    """The paper's statements as networks with explicit weights: which hold, at what size, and where proofs differ.

    Prints a table, and writes a page with figures. Settings:

    learned=true  train small networks on the same functions too: minutes
    seeds=N       of each of those
    """
    from repro.theory.start import start

    start(settings or (), out=out, console=words.console())
