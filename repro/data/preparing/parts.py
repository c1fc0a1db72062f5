"""A set prepared by several machines: each makes a part in a folder of its own, and one takes them together."""

import fcntl
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from repro.data.preparing.guards import lock_file
from repro.errors import DataError

_A_PART = re.compile(r".*\.part-\d+-of-\d+")


@dataclass(frozen=True)
class Part:
    """The ``number``-th of ``of``, from 1."""

    number: int
    of: int

    def folder(self, whole: Path) -> Path:
        """Where it is prepared, beside the whole set."""
        return whole.with_name(f"{whole.name}.part-{self.number}-of-{self.of}")

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def part(word: str) -> Part:
    """What ``i/n`` says.

    Raises:
        DataError: it is no such thing.
    """
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", word)
    number, of = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= of:
        raise DataError(f"shard={word}: expected i/n, the i-th of n parts, such as shard=1/4")
    return Part(number, of)


@contextmanager
def parts_of(whole: Path) -> Iterator[list[Path]]:
    """The folders of the parts of a set that were begun, nobody else writing to them meanwhile.

    Raises:
        DataError: one is still being prepared.
    """
    with ExitStack() as locks:
        begun = _begun(whole)
        for folder in begun:
            file = locks.enter_context(lock_file(folder).open("w"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataError(
                    f"{folder} is still being prepared by another process: wait for it, then run this command again"
                ) from None
        yield begun
        for folder in begun:
            lock_file(folder).unlink()


def _begun(whole: Path) -> list[Path]:
    """Those that are there, or that have a lock or downloads beside where they would be."""
    beside = (_A_PART.match(path.name) for path in whole.parent.glob(f"{whole.name}.part-*"))
    return sorted({whole.with_name(match[0]) for match in beside if match})
