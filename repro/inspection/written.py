"""Where what was found of a run lies: beside it, in a folder that is replaced whole.

analysis/
    README.md                      the page
    analysis.json                  of each part: its files, its section of the page, and what it was made of and with
    <table>.csv  <figure>.png  <arrays>.npz
    tensorboard/<part>/            the part's figures once more, in an event file

Parts that are not made anew are kept as they are, and so is what others have put there.
"""

import io
import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[import-untyped]
from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]
from torch.utils.tensorboard.summary import image

from repro.analysis.figures.style import DOTS, pixels
from repro.errors import RunError
from repro.evaluation.parts import archive
from repro.evaluation.results import table
from repro.inspection.found import Found, Row
from repro.interop.folder import whole

FOLDER, PAGE, INDEX = "analysis", "README.md", "analysis.json"
ENDINGS = (".csv", ".png", ".npz")
NAMED = 3  # of files that are in the way
_VERSION = "brain.Event:2"  # of event files, as TensorBoard reads them
Index = dict[str, "Entry"]


@dataclass(frozen=True)
class Entry:
    """A part as the folder's index has it.

    Attributes:
        files: its own, relative to the folder.
        section: of the page, in Markdown.
        made: of what and with what, in words, by what a person calls it.
    """

    files: tuple[str, ...]
    section: str
    made: dict[str, str]


@dataclass(frozen=True)
class Part:
    """What one measure found, to be written.

    Attributes:
        name: its word.
        found: by the measure.
        section: of the page, in Markdown.
        made: as an :class:`Entry` has it.
        step: of the newest checkpoint that was looked at, under which TensorBoard shows the figures.
    """

    name: str
    found: Found
    section: str
    made: dict[str, str]
    step: int


def read(run: Path) -> Index:
    """The parts that lie beside a run.

    Raises:
        RunError: the index is damaged.
    """
    path = run / FOLDER / INDEX
    if not path.is_file():
        return {}
    try:
        return {name: Entry(**{**entry, "files": tuple(entry["files"])}) for name, entry in _json(path).items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged; remove {path.parent} to analyse anew") from error


def write(run: Path, parts: Sequence[Part], page: Callable[[Index], str]) -> None:
    """Put parts in the place of those that had their names, and ``page`` of all that are there then.

    Raises:
        RunError: the index is damaged, or the disk refuses; what was there before stays.
    """
    before = read(run)
    kept = {name: entry for name, entry in before.items() if name not in {part.name for part in parts}}
    with whole(run / FOLDER) as folder:
        gone = {PAGE, INDEX} | {file for name, entry in before.items() if name not in kept for file in entry.files}
        _keep(run / FOLDER, folder, gone)
        new = {part.name: Entry(_files(part, folder), part.section, part.made) for part in parts}
        index = kept | new
        content = {name: asdict(entry) for name, entry in index.items()}
        (folder / INDEX).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        (folder / PAGE).write_text(page(index))


def refuse_foreign(run: Path, patterns: Sequence[str]) -> None:
    """Refuse files that would be written over and that no analysis wrote.

    Args:
        run: the run's folder.
        patterns: of the names of tables, figures and arrays that are to be written, without their endings.

    Raises:
        RunError: there are some, or the index is damaged.
    """
    folder, index = run / FOLDER, read(run)
    known = {file for entry in index.values() for file in entry.files} | ({PAGE} if index else set())
    names = {PAGE, INDEX} | {f"{pattern}{ending}" for pattern in patterns for ending in ENDINGS}
    found = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    foreign = [name for name in found if name not in known | {INDEX} and any(fnmatchcase(name, own) for own in names)]
    if foreign:
        more = f" and {len(foreign) - NAMED} more" if len(foreign) > NAMED else ""
        them = "them" if foreign[1:] else "it"
        raise RunError(f"{folder} holds {', '.join(foreign[:NAMED])}{more}, which no analysis wrote; move {them} away")


def finite(row: Row) -> Row:
    """A row in which what is no number is missing."""
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}


def _keep(old: Path, new: Path, gone: set[str]) -> None:
    for path in sorted(old.rglob("*")):
        name = path.relative_to(old)
        if str(name) in gone:
            continue
        if path.is_symlink():  # to a folder, a file or nothing: it goes on to lead there
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).symlink_to(path.readlink())
        elif path.is_file():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, new / name)


def _files(part: Part, folder: Path) -> tuple[str, ...]:
    """Write a part; the names of its files."""
    contents = {
        f"{name}.csv": table([finite(row) for row in rows]).encode() for name, rows in part.found.tables.items()
    }
    contents |= {f"{name}.npz": archive(**arrays) for name, arrays in part.found.arrays.items()}
    contents |= {f"{name}.png": _png(drawn.figure) for name, drawn in part.found.figures.items()}
    if part.found.figures:
        contents[f"tensorboard/{part.name}/events.out.tfevents.{int(time.time())}"] = _events(part)
    for name, content in contents.items():
        if (folder / name).exists():
            raise RunError(f"{FOLDER}/{name} is there already and not of {part.name}; move it away")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return tuple(contents)


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DOTS)
    return content.getvalue()


def _events(part: Part) -> bytes:
    """The figures as images of a step; what a TensorBoard that runs has read of it before is told to be over."""
    content, now = io.BytesIO(), time.time()
    records = RecordWriter(content)
    records.write(Event(wall_time=now, file_version=_VERSION).SerializeToString())
    again = SessionLog(status=SessionLog.START)
    records.write(Event(wall_time=now, step=part.step, session_log=again).SerializeToString())
    for name, drawn in part.found.figures.items():
        summary = image(f"{part.name}/{name}", pixels(drawn.figure), dataformats="HW")
        records.write(Event(wall_time=now, step=part.step, summary=summary).SerializeToString())
    return content.getvalue()


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content
