"""The command, to which each module of verbs adds its own."""

import typer

OVERVIEW = """Reproduce the PolyCom paper (arXiv 2411.03884): run a recipe by name, see the curve and the verdict.

A recipe's name is family-scale-activation, such as dense-1b-polynorm. For example:

\b
    repro list
    repro show dense-1b-polynorm --origin
    repro plan dense-1b-polynorm --on a100-4x8
"""

app = typer.Typer(help=OVERVIEW, add_completion=False, pretty_exceptions_enable=False)
