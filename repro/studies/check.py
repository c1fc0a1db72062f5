"""What a study has to show, and how it is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import indent

from rich.console import Console
from rich.markup import escape

from repro.errors import CheckFailed


@dataclass(frozen=True)
class Check:
    """Something that had to hold, whether it did, and the figures that say so."""

    name: str
    passed: bool
    figures: str


def tell(outcome: Sequence[Check], console: Console) -> None:
    """Print each check with its figures."""
    for check in outcome:
        mark = "[green]passed[/]" if check.passed else "[bold red]FAILED[/]"
        figures = escape(indent(check.figures, " " * 8))
        console.print(f"{mark}  {check.name}\n{figures}", highlight=False, soft_wrap=True)


def insist(outcome: Sequence[Check]) -> None:
    """Let nothing pass that did not hold.

    Raises:
        CheckFailed: which checks failed.
    """
    failed = [check.name for check in outcome if not check.passed]
    if failed:
        raise CheckFailed(f"{len(failed)} of {len(outcome)} checks failed: {'; '.join(failed)}")
