"""Data of tasks from the hub, as JSON lines."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import constants

from repro.data.files import network
from repro.data.files.network import Setback
from repro.data.progress import Progress, silent
from repro.data.tasks.facts import File
from repro.data.tasks.rows import Row
from repro.errors import DataError
from repro.paths import write_whole


def fetch(files: Sequence[File], where: Path, progress: Progress = silent) -> None:
    """Write each of ``files`` into the folder ``where``, whole or not at all.

    Raises:
        DataError: one cannot be had, saying which are lacking and where to put them; or the hub has another number of
            items than is published.
    """
    for done, file in enumerate(files):
        progress("fetch tasks", done, len(files))
        try:
            found = _rows(file)
        except DataError as error:
            why = error.what if isinstance(error, Setback) else str(error)
            lacking = ", ".join(each.name for each in files[done:])
            raise DataError(f"{why}; to go on without it, put {lacking} into {where}") from error
        check_items(file, len(found), f"{file.source.hub} on {network.host(network.endpoint())}")
        write(found, where / file.name)
    progress("fetch tasks", len(files), len(files))


def check_items(file: File, found: int, where: str) -> None:
    """Refuse another number of items than is published.

    Raises:
        DataError: both numbers.
    """
    if found != file.items:
        raise DataError(f"{where} has {found:,} items for {file.name}, expected {file.items:,}; is it another version?")


def write(rows: Sequence[Row], path: Path) -> None:
    """Items as JSON lines."""
    write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _rows(file: File) -> list[Row]:
    """The items of a split on the hub. No code of the repository is run: ``datasets`` no longer can.

    Raises:
        DataError: there is no network, or no such data.
    """
    address = f"{network.endpoint()}/datasets/{file.source.hub}"
    if not constants.HF_HUB_OFFLINE:  # in which case `datasets` has what it fetched before
        _reach(f"{network.endpoint()}/api/datasets/{file.source.hub}")
    with network.in_words(address), _quiet():
        try:
            return [dict(row) for row in _loaded(file)]
        except (OSError, ValueError) as error:  # its own errors are of these kinds, those of no network included
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise DataError(f"{address} cannot be read: {reason}") from error


def _reach(address: str) -> None:
    """Tell at once that there is no network, or no such data: ``datasets`` takes half a minute to."""
    with network.get(address):
        pass


@contextmanager
def _quiet() -> Iterator[None]:
    """The client of the hub tells of each attempt, ``datasets`` of each file; people are told how it ended."""
    import datasets  # takes a second

    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        datasets.enable_progress_bars()


def _loaded(file: File) -> Any:
    import datasets

    return datasets.load_dataset(file.source.hub, file.source.config, split=file.split)
