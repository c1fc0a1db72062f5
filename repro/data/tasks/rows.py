"""Items of tasks, as JSON lines in a folder."""

import json
from pathlib import Path
from typing import Any

from repro import paths
from repro.data.tasks.facts import File, Task
from repro.errors import DataError

Row = dict[str, Any]


def folder() -> Path:
    """Where ``repro prepare tasks`` puts them."""
    return paths.prepared() / "tasks"


def check(tasks: tuple[Task, ...], where: Path, setting: str = "files") -> None:
    """Refuse a folder, named by ``setting``, in which files of ``tasks`` are missing.

    Raises:
        DataError: naming what is missing, and how it comes there.
    """
    lacking = {task.name: [file.name for file in task.files if not (where / file.name).is_file()] for task in tasks}
    if not any(lacking.values()):
        return
    missing = ", ".join(dict.fromkeys(name for names in lacking.values() for name in names))
    run = f"run `repro prepare tasks names={','.join(name for name in lacking if lacking[name])}`"
    way_out = run if where == folder() else f"put them there, or {run} and leave out {setting}="
    raise DataError(f"{where} lacks {missing}: {way_out}")


def rows(file: File, where: Path) -> list[Row]:
    """The items in ``file`` of the folder ``where``, in order, all with the same fields.

    Raises:
        DataError: it is not there, or something else than items.
    """
    path = where / file.name
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # an item may hold other ends of lines
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}; run `repro prepare tasks`") from error
    found = [_row(line, path, number) for number, line in enumerate(lines, start=1) if line.strip()]
    if not found:
        raise DataError(f"{path} holds no items, expected {file.items:,}; run `repro prepare tasks`")
    for number, row in enumerate(found, start=1):
        if row.keys() != found[0].keys():
            raise DataError(
                f"{path}, item {number}: has {', '.join(row)}; expected {', '.join(found[0])}, as the first"
            )
    return found


def _row(line: str, path: Path, number: int) -> Row:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise DataError(f"{path}, line {number}: not JSON ({error}); run `repro prepare tasks`") from error
    if not isinstance(row, dict):
        raise DataError(f"{path}, line {number}: expected a JSON object, such as {{...}}")
    return row
