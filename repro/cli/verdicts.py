"""Verbs that gather evidence and say what it comes to."""

from pathlib import Path
from typing import Annotated

import typer

from repro.cli import words
from repro.cli.app import app


@app.command()
def study(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as table-1.", show_default=False)],
    settings: words.Settings = None,
    *,
    seeds: Annotated[int | None, typer.Option(min=1, help="Of the primary comparison, instead of its own.")] = None,
    on: words.On = "here",
    submit: Annotated[bool, typer.Option("--submit", help="Hand each run's script to sbatch.")] = False,
) -> None:
    """Train all runs of a study, skipping those that are finished, and give its verdicts.

    First it says what that costs, and the smallest difference that it would show. Ctrl-C stops it; the same command
    goes on. Settings, and keys of its recipes, such as data.corpus=python-packages:

    scale=smoke  another size; what smoke shows is a mechanism, and no evidence about the paper
    dry_run=true say what would be run, and what it costs
    """
    from repro.studies.study import start

    start(name, settings or (), seeds=seeds, on=on, submit=submit, console=words.console())


@app.command()
def compare(
    arms: Annotated[
        list[str],
        typer.Argument(metavar="A B ...", help="Recipes or run folders; or one study.", show_default=False),
    ],
    as_json: words.Json = False,
) -> None:
    """Differences of validation loss, paired by seed, with intervals and a verdict."""
    from repro.claims.start import start

    start(arms, as_json=as_json, console=words.console())


@app.command()
def claims(as_json: words.Json = False) -> None:
    """Every claim of the paper, and what was measured here says of it."""
    from repro.claims.ledger.start import start

    start(as_json=as_json, console=words.console())


@app.command()
def report(
    of: Annotated[
        str | None, typer.Argument(metavar="STUDY|RUN", help="Of this alone, instead of all.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Instead of ./report.")] = None,
) -> None:
    """One page: verdicts first, then each table and figure of the paper beside ours; as HTML and as Markdown."""
    from repro.claims.report.start import start

    start(of, out=out, console=words.console())
