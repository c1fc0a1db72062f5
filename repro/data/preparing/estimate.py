"""What a preparation will take, before it begins."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.data import shards
from repro.data.files.inputs import InputFile
from repro.data.files.pieces import FilePiece
from repro.data.preparing.parallel import AHEAD
from repro.errors import DataError
from repro.recipe.preparation import BPE_RATE, RATE

# Bytes of text for one as stored, ours, for files whose publisher does not count tokens; and bytes of text a token.
UNPACKED = {".parquet": 1.8, ".zip": 3.0, ".gz": 2.8, ".zst": 3.0, ".zstd": 3.0, ".bz2": 3.5}
BYTES_PER_TOKEN = 4.0
MARGIN = 1.1  # of the disk space that an estimate asks for


@dataclass(frozen=True)
class Estimate:
    """Of the pieces of a set.

    Attributes:
        files: to be read.
        stored_bytes: of them.
        remote_bytes: of those to be fetched.
        tokens: that they will become.
        shard_bytes: of these.
        waiting_bytes: of fetched files that are on the disk at once, at most.
        core_hours: of tokenising.
    """

    files: int
    stored_bytes: int
    remote_bytes: int
    tokens: int
    shard_bytes: int
    waiting_bytes: int
    core_hours: float

    @property
    def disk_bytes(self) -> int:
        """That have to be free."""
        return int(MARGIN * self.shard_bytes) + self.waiting_bytes

    def check_disk(self, folder: Path) -> None:
        """Refuse to begin what cannot end.

        Raises:
            DataError: the disk of ``folder`` has less room.
        """
        if (free := free_bytes(folder)) < self.disk_bytes:
            raise DataError(
                f"{folder} has {in_words(free)} free, and preparing needs about {in_words(self.disk_bytes)}: free "
                "space there, set REPRO_DATA to another folder, or prepare a part with tokens=N"
            )


def estimate(wanted: Sequence[FilePiece], *, tokens: int, vocab_size: int, kind: str, processes: int) -> Estimate:
    """Of ``wanted``, which become so many ``tokens`` by a tokenizer of that kind."""
    remote = sorted(piece.n_bytes for piece in wanted if piece.files[0].is_remote)
    return Estimate(
        files=sum(len(piece.files) for piece in wanted),
        stored_bytes=sum(piece.n_bytes for piece in wanted),
        remote_bytes=sum(remote),
        tokens=tokens,
        shard_bytes=tokens * shards.dtype(vocab_size).itemsize,
        waiting_bytes=sum(remote[-AHEAD * processes :]),
        core_hours=tokens / (BPE_RATE if kind == "bpe" else RATE) / 3600,
    )


def tokens_in(files: Iterable[InputFile]) -> int:
    """By a rule of thumb, for files whose tokens nobody has counted."""
    return int(sum(file.size * UNPACKED.get(Path(file.name).suffix.lower(), 1.0) / BYTES_PER_TOKEN for file in files))


def in_words(n_bytes: int) -> str:
    """``2.9 GB``, or MB below a tenth of one."""
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:,.1f} MB"


def free_bytes(folder: Path) -> int:
    """Of the disk where ``folder`` is, or will be."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free
