"""``repro prepare tasks``: the data of downstream tasks, as a person sees it."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn

from repro.data.progress import bars
from repro.data.tasks import facts, rows
from repro.data.tasks.facts import File, Task
from repro.data.tasks.fetch import check_items, fetch, write
from repro.errors import DataError
from repro.recipe.settings import given

SETTINGS = ("names", "path")


def start(settings: Sequence[str], *, console: Console) -> None:
    """Put the data of tasks where evaluations look for them, from the hub or a folder, and say what is there."""
    words = given(settings, SETTINGS, verb="prepare tasks", such_as="names=arc_easy,piqa")
    asked = _asked(words.get("names"))
    wanted = list(dict.fromkeys(file for task in asked for file in task.files))
    if "path" in words:
        _take(wanted, Path(words["path"]).expanduser(), asked if "names" in words else ())
    else:
        _fetch([file for file in wanted if not _is_whole(file)])
    ready = [task.name for task in asked if all((rows.folder() / file.name).is_file() for file in task.files)]
    for line in (f"{rows.folder()} holds the data of {', '.join(ready)}", f"repro eval RUN --tasks {ready[0]}"):
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _asked(names: str | None) -> tuple[Task, ...]:
    words = [word.strip() for word in names.split(",")] if names else facts.names()
    return tuple(facts.task(name) for name in facts.expanded(words))


def _fetch(lacking: Sequence[File]) -> None:
    if lacking:
        with bars(MofNCompleteColumn()) as progress:
            fetch(lacking, rows.folder(), progress)


def _take(wanted: Sequence[File], source: Path, asked: tuple[Task, ...]) -> None:
    """Copy what ``source`` holds of the files; of tasks that were ``asked`` for, each has to be there.

    Raises:
        DataError: one is not, or has another number of items than is published, or there is none.
    """
    if not source.is_dir():
        raise DataError(f"path={source}: expected a folder with files such as {wanted[0].name}")
    rows.check(asked, source, "path")
    found = [file for file in wanted if (source / file.name).is_file()]
    if not found:
        raise DataError(f"path={source} holds no data of a task: expected files such as {wanted[0].name}")
    read = {file: rows.rows(file, source) for file in found}
    for file, items in read.items():
        check_items(file, len(items), str(source))
    for file, items in read.items():
        write(items, rows.folder() / file.name)


def _is_whole(file: File) -> bool:
    """Whether it is there with all its items."""
    try:
        return len(rows.rows(file, rows.folder())) == file.items
    except DataError:
        return False
