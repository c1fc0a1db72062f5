"""Where files lie, and how they are written whole."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_PACKAGE = Path(__file__).parent


def _facts(name: str) -> Path:
    """A top-level folder of facts: beside the package in a checkout, inside it in an installed wheel."""
    beside = _PACKAGE.parent / name
    return beside if (_PACKAGE.parent / "pyproject.toml").is_file() else _PACKAGE / "_assets" / name


def recipes() -> Path:
    """The folder of recipes, machines and the table of activations."""
    return _facts("recipes")


def data() -> Path:
    """The folder of facts: manifests, published and measured numbers."""
    return _facts("data")


def prepared() -> Path:
    """Where prepared data sets lie: ``$REPRO_DATA``, by default ``~/.cache/repro``."""
    return Path(os.environ.get("REPRO_DATA") or Path.home() / ".cache" / "repro")


def runs() -> Path:
    """Where runs are written unless ``--out`` says otherwise: ``runs`` in the current folder."""
    return Path("runs")


def prove(folder: Path) -> None:
    """Make a folder, and a file in it that goes at once.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def write_whole(path: Path, content: str | bytes) -> None:
    """Write ``path`` so that a reader, or a machine that dies, sees the old content or the new, never a part."""
    with whole(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of ``path`` when it is complete and on the disk; of one that fails nothing stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")  # another machine may have the number
    try:
        with aside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
