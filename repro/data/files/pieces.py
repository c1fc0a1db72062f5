"""How the files of a corpus are parted: what one process does at a time, and in which order."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from repro.data.corpora import Split
from repro.data.files.inputs import InputFile

PIECE_BYTES = 2 * 2**20  # small files are put together up to this size, as stored; a larger file is a piece of its own


@dataclass(frozen=True)
class FilePiece:
    """Consecutive files of one subset and split: one large file, or small ones together."""

    name: str  # its number among all, in the order of the listing
    files: tuple[InputFile, ...]

    @property
    def subset(self) -> str:
        """That its files belong to."""
        return self.files[0].subset

    @property
    def split(self) -> Split | None:
        """Of all its documents, where their publisher made the splits."""
        return self.files[0].split

    @property
    def n_bytes(self) -> int:
        """Of its files, as stored; a file of unknown size counts as a small one."""
        return sum(file.size or PIECE_BYTES for file in self.files)


def pieces(files: Iterable[InputFile], piece_bytes: int = PIECE_BYTES) -> tuple[FilePiece, ...]:
    """The pieces of a listing, in natural proportions: of any number of them from the beginning on, each subset has
    the share that it has of the whole.
    """
    groups = [
        group
        for _, alike in groupby(files, key=attrgetter("subset", "split"))
        for group in _together(alike, piece_bytes)
    ]
    numbered = [FilePiece(f"{number:05d}", tuple(group)) for number, group in enumerate(groups)]
    return tuple(sorted(numbered, key=_middles(numbered).__getitem__))


def _middles(numbered: Sequence[FilePiece]) -> dict[FilePiece, float]:
    """Where the middle of each piece lies in its subset, from 0 to 1."""
    sizes, before = Counter[str](), Counter[str]()
    for piece in numbered:
        sizes[piece.subset] += piece.n_bytes
    middles = {}
    for piece in numbered:
        middles[piece] = (before[piece.subset] + piece.n_bytes / 2) / max(1, sizes[piece.subset])
        before[piece.subset] += piece.n_bytes
    return middles


def _together(files: Iterable[InputFile], piece_bytes: int) -> Iterable[list[InputFile]]:
    group: list[InputFile] = []
    size = 0
    for file in files:
        n_bytes = file.size or piece_bytes
        if group and size + n_bytes > piece_bytes:
            yield group
            group, size = [], 0
        group.append(file)
        size += n_bytes
    if group:
        yield group


def enough(ordered: Sequence[FilePiece], share: float) -> tuple[FilePiece, ...]:
    """The first pieces that hold at least ``share`` of the bytes, and each validation piece of the publisher's."""
    wanted, total = share * sum(piece.n_bytes for piece in ordered if piece.split != "validation"), 0
    taken = []
    for piece in ordered:
        if piece.split == "validation":
            taken.append(piece)
        elif total < wanted:
            taken.append(piece)
            total += piece.n_bytes
    return tuple(taken)


def listing_digest(files: Iterable[InputFile]) -> str:
    """Of names and sizes, which tells one listing from another without reading a file."""
    text = "\n".join(f"{file.name} {file.size} {file.sha256}" for file in files)
    return hashlib.sha256(text.encode()).hexdigest()
