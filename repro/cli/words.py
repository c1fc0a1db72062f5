"""The words that several verbs take, and the console that they speak on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

Name = Annotated[str, typer.Argument(metavar="NAME", help="family-scale-activation", show_default=False)]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="such as lr=3e-4", show_default=False)]
Of = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, or recipe@seed.", show_default=False)]
Settings = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings, as above.", show_default=False)
]
On = Annotated[str, typer.Option("--on", metavar="MACHINE", help="A machine's name.")]
Seed = Annotated[int, typer.Option(min=0, help="Of initial weights and data order.")]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Where runs go, instead of ./runs.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


def console() -> "Console":
    """Where a command speaks to a person."""
    from repro.recipe.display import Terminal

    return Terminal()
