"""`repro report`: what lies here as a page."""

from pathlib import Path

from rich.console import Console

from repro import recipe
from repro.claims.evidence import study
from repro.claims.report import gathered, one_run, pages
from repro.claims.report.blocks import Page
from repro.claims.report.claimed import slug
from repro.claims.report.written import MARKDOWN, write
from repro.errors import RecipeError, nearest
from repro.recipe import runs

FOLDER = Path("report")


def start(of: str | None, *, out: Path | None, console: Console) -> None:
    """Write the page of everything, of one study or of one run; a part has a folder of its own inside ``report``.

    Raises:
        ReproError: no study, recipe or run is called so, or the folder cannot be written.
    """
    page, name = _page(of)
    folder = out or (FOLDER / slug(name) if name else FOLDER)
    path = write(page, folder)
    console.print(
        f"page in {path}, and as Markdown in {folder / MARKDOWN}", highlight=False, markup=False, soft_wrap=True
    )


def _page(of: str | None) -> tuple[Page, str]:
    """What is asked for, with the name of its folder; that of everything has none."""
    if of is None:
        return pages.whole(gathered.everything()), ""
    if of in study.names():
        return pages.study(gathered.alone(of)), of
    made = one_run.page(_run(of))
    return made, made.title


def _run(of: str) -> Path:
    """The folder of a run; where the word is none, the nearest study or recipe."""
    name = of.partition("@")[0]
    if not Path(of).is_dir() and "/" not in of and name.count("-") < 2:
        near = nearest(of, [*study.names(), *recipe.names()]) or f" There are the studies {', '.join(study.names())}."
        raise RecipeError(f"{of!r} is no study, run folder or recipe.{near}")
    return runs.find(of)
