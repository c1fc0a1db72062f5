"""`repro theory`: the paper's statements computed, as a person sees it."""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import MofNCompleteColumn
from rich.table import Table

from repro.data.progress import Progress, bars
from repro.errors import RecipeError, ReproError
from repro.paths import prove, write_whole
from repro.recipe.settings import given, truth, whole
from repro.theory import (
    activations,
    approximation,
    definitions,
    definitions_networks,
    definitions_numbers,
    exact,
    figures,
    learned,
    lower_bound,
    sobolev,
)
from repro.theory.findings import Finding
from repro.theory.page import JSON, PAGE, as_json, page, picture, verdict
from repro.training.record import versions

FOLDER = Path("theory")
SEEDS, MOST = 5, 50
STAGE = "building networks"

Part = Callable[[], list[Finding]]
PARTS: tuple[Part, ...] = (
    definitions.findings,
    definitions_networks.findings,
    definitions_numbers.findings,
    activations.findings,
    exact.findings,
    approximation.findings,
    lower_bound.findings,
    *sobolev.PARTS,
)


@dataclass(frozen=True)
class Settings:
    """What a person asks for.

    Attributes:
        learned: whether networks are trained as well.
        seeds: of each of those.
    """

    learned: bool = False
    seeds: int = SEEDS

    @classmethod
    def of(cls, words: Sequence[str]) -> Self:
        """From ``key=value`` words.

        Raises:
            RecipeError: one is none of them, or has no effect.
        """
        found = given(words, ("learned", "seeds"), verb="theory", such_as="learned=true")
        trains = truth("learned", found.get("learned", "false"))
        if "seeds" in found and not trains:
            raise RecipeError("seeds= is for networks that are trained, and none is: add learned=true")
        return cls(trains, whole("seeds", found.get("seeds", str(SEEDS)), smallest=2, largest=MOST, such_as=SEEDS))


def start(settings: Sequence[str], *, out: Path | None, console: Console) -> None:
    """Compute the statements, print a table, and write a page with figures and ``theory.json`` into ``out``.

    That a statement does not hold is a result about the paper, which is said and written down, and no failure of this
    command: whether the code is right is what its tests ask.

    Raises:
        ReproError: a setting is wrong, or the folder cannot be written; before anything is computed.
    """
    asked, folder = Settings.of(settings), out or FOLDER
    _prove(folder)
    with bars(MofNCompleteColumn()) as progress:
        findings = _compute(progress)
        _write(folder, findings)  # before training, so that nothing that happens there loses it
        if asked.learned:
            findings += learned.findings(asked.seeds, progress)
            _write(folder, findings)
    _show(findings, folder, console)


def _compute(progress: Progress) -> list[Finding]:
    findings = list[Finding]()
    for done, part in enumerate(PARTS):
        progress(STAGE, done, len(PARTS))
        findings += part()
    progress(STAGE, len(PARTS), len(PARTS))
    return findings


def _prove(folder: Path) -> None:
    """Make the folder, and a file in it that goes at once."""
    if folder.exists() and not folder.is_dir():
        raise ReproError(f"{folder} is a file, and a folder is written there; name one with --out")
    try:
        prove(folder)
    except OSError as error:
        raise ReproError(f"{folder} cannot be written ({error.strerror}); name another folder with --out") from error


def _write(folder: Path, findings: Sequence[Finding]) -> None:
    """Figures first, so that a page that is there has all it shows."""
    about = versions() | {"date": datetime.datetime.now(datetime.UTC).date().isoformat()}
    contents: dict[str, str | bytes] = {
        picture(finding): figures.png(figures.draw(finding)) for finding in findings if finding.curves
    }
    contents |= {JSON: as_json(findings, about), PAGE: page(findings, about)}
    try:
        for name, content in contents.items():
            write_whole(folder / name, content)
    except OSError as error:
        raise ReproError(f"{folder} cannot be written ({error.strerror}); the page there is as it was") from error


def _show(findings: Sequence[Finding], folder: Path, console: Console) -> None:
    view = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    view.add_column("where")
    view.add_column("here it")
    view.add_column("key number")
    for each in findings:
        said = f"[bold red]{verdict(each)}[/]" if each.holds is False else verdict(each)
        view.add_row(escape(each.place), said, escape(each.key))
    console.print(view, highlight=False)
    for each in findings:
        if each.holds is False:
            line = f"does not hold: {each.place}: {each.claim}"
            console.print(line, style="bold red", highlight=False, markup=False, soft_wrap=True)
    console.print(f"page and figures in {folder / PAGE}", highlight=False, markup=False, soft_wrap=True)
