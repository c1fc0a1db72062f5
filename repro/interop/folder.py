"""A folder of an export or an import: written aside, and renamed when it is whole."""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from repro.errors import RunError
from repro.training.holding import told

MARK = "export.json"  # says what an export is of, and which files are its own


def as_json(content: dict[str, Any]) -> str:
    """As a person and a program can read it."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def check(path: Path) -> None:
    """Refuse a place that holds anything but an export.

    Raises:
        RunError: it does.
    """
    if path.exists() and not path.is_dir():
        raise RunError(f"--out expects a folder, and {path} is a file; name another, such as {path}-hf")
    found = sorted(file.name for file in path.iterdir()) if path.is_dir() else []
    if others := [name for name in found if name not in _own(path)]:
        raise RunError(f"{path} holds {others[0]}, which no export wrote; move it away, or name another --out")


@contextlib.contextmanager
def whole(path: Path, *, replacing: bool = True) -> Iterator[Path]:
    """A folder that takes the place of ``path`` when it is complete; of one that fails nothing stays.

    Unless it is ``replacing`` one, what another process has put there since stays, and this is dropped.

    Raises:
        RunError: the disk refuses.
    """
    path = path.resolve()  # a link goes on to lead to it
    _sweep(path)
    aside = _aside(path)
    try:
        with told(path):
            aside.mkdir()
            with _held(aside):
                yield aside
                _replace(path, aside) if replacing else _give(path, aside)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _own(path: Path) -> set[str]:
    """The files of an export, by its own account."""
    try:
        return {MARK, *json.loads((path / MARK).read_text())["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _aside(path: Path) -> Path:
    return path.with_name(f".writing-{path.name}.{secrets.token_hex(4)}")


def _replace(path: Path, whole: Path) -> None:
    old = _aside(path)
    if path.exists():
        path.rename(old)
    try:
        whole.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _give(path: Path, whole: Path) -> None:
    try:
        whole.rename(path)
    except OSError:
        if not path.is_dir():
            raise


def _sweep(path: Path) -> None:
    """Remove what killed processes left: of those that live, the lock is held."""
    for left in path.parent.glob(f".writing-{path.name}.*"):
        with contextlib.suppress(OSError), _held(left):
            shutil.rmtree(left)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Lock a folder, wherever it is moved; the lock goes with the process, however it ends.

    Raises:
        OSError: another process has it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)
