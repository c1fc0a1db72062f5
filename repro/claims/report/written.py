"""The page's files: put aside first and renamed when all are whole, so that a full disk leaves what was there."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from repro.claims.report.as_html import html
from repro.claims.report.as_markdown import FIGURES, markdown
from repro.claims.report.blocks import Page
from repro.claims.report.svg import OWN as OWN_FIGURE
from repro.errors import ReproError

HTML, MARKDOWN = "index.html", "README.md"
OWN = {HTML: '<meta name="generator" content="repro report">', MARKDOWN: "<!-- repro report -->"}
HEAD = 1000  # characters in which a page says that it is one of ours


def write(page: Page, folder: Path) -> Path:
    """Write the page as HTML and as Markdown, and each figure as a file; the path of the HTML.

    Figures that an earlier report left and this one lacks go.

    Raises:
        ReproError: the folder cannot be written, or holds pages that no report wrote.
    """
    refuse_foreign(folder)
    figures = {f"{FIGURES}/{each.name}.svg": f"{each.svg}\n" for each in page.figures}
    pages = {MARKDOWN: f"{OWN[MARKDOWN]}\n{markdown(page)}", HTML: html(page)}
    try:
        _replace(folder, figures | pages)
        _sweep(folder, figures)
    except OSError as error:
        raise ReproError(f"{folder} cannot be written ({error.strerror}); what was there is as it was") from error
    return folder / HTML


def refuse_foreign(folder: Path) -> None:
    """Keep a page that a person wrote from being written over.

    Raises:
        ReproError: there is one, or ``folder`` is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise ReproError(f"{folder} is a file, and a folder is written there; name another with --out")
    for name, mark in OWN.items():
        path = folder / name
        if path.is_file() and mark not in path.read_text(errors="replace")[:HEAD]:
            raise ReproError(f"{path} was written by no report; name another folder with --out")


def _replace(folder: Path, contents: Mapping[str, str]) -> None:
    """All files, the HTML last; until the first is renamed, each is on the disk under another name."""
    aside = f".{os.getpid()}.{secrets.token_hex(4)}"
    staged = {folder / name: (folder / name).with_name(f".{Path(name).name}{aside}") for name in contents}
    try:
        for (path, temporary), content in zip(staged.items(), contents.values(), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            _put(temporary, content)
        for path, temporary in staged.items():
            temporary.replace(path)
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)


def _put(path: Path, content: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sweep(folder: Path, figures: Mapping[str, str]) -> None:
    for path in (folder / FIGURES).glob("*.svg"):
        if f"{FIGURES}/{path.name}" not in figures and OWN_FIGURE in path.read_text(errors="replace")[:HEAD]:
            path.unlink()
