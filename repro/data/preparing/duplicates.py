"""How many documents of a set have the text of another one, told by 8 bytes of its sha256."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repro.data.manifest import Duplicates

Hashes = NDArray[np.uint64]

AT_ONCE = 2**24  # hashes that are compared, about: with room for copies 160 MB, twice that where copies fill it
_HASH = np.dtype("<u8")
_READ = 2**20  # hashes


def duplicates(files: Sequence[Path]) -> Duplicates:
    """The documents and, among them, those whose text one before them has.

    Of more than ``AT_ONCE`` documents only those are looked at whose hash is 0 modulo ``one_in``. They are chosen by
    their text, so every copy of one is among them: its counts times ``one_in`` estimate those of the whole set without
    bias, and the share of duplicates is the set's but for the chance of which texts are chosen.

    Args:
        files: of hashes, 8 bytes a document, little-endian.
    """
    total = sum(file.stat().st_size for file in files) // _HASH.itemsize
    one_in = max(1, -(-total // AT_ONCE))
    documents, texts = _count((part[part % one_in == 0] for file in files for part in _read(file)), room=total)
    return Duplicates(documents=documents, duplicates=documents - texts, one_in=one_in)


def _read(file: Path) -> Iterator[Hashes]:
    with file.open("rb") as hashes:
        while raw := hashes.read(_READ * _HASH.itemsize):
            yield np.frombuffer(raw, dtype=_HASH)


def _count(parts: Iterable[Hashes], *, room: int) -> tuple[int, int]:
    """How many numbers there are, and how many different ones, of which about ``AT_ONCE`` are expected at most."""
    known = np.empty(min(room, AT_ONCE + AT_ONCE // 4), dtype=_HASH)
    documents = filled = 0
    for part in parts:
        if filled + len(part) > len(known):
            different = known[:filled][_first(known[:filled])]
            filled = len(different)
            known[:filled] = different
        known[filled : filled + len(part)] = part
        filled += len(part)
        documents += len(part)
    return documents, int(_first(known[:filled]).sum())


def _first(hashes: Hashes) -> NDArray[np.bool_]:
    """Sort ``hashes`` in place, and tell the first of equal ones."""
    hashes.sort()
    first = np.ones(len(hashes), dtype=np.bool_)
    np.not_equal(hashes[1:], hashes[:-1], out=first[1:])
    return first
