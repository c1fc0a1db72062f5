"""Token files of dolma and OLMo, and one-dimensional numpy arrays.

`dolma tokens` writes uint16 or uint32 without a header into files called ``.npy``: whole documents, the end of text
after each. OLMo's older `prepare_memmap_dataset.py` cuts the document that fills a file and loses the rest of it, so
that a file may end without one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.data.tokens.token_file import Chunk, TokenFile
from repro.errors import DataError

SUFFIX = ".npy"
_NUMPY = b"\x93NUMPY"
_WINDOW = 2**14  # tokens looked at for a document's beginning
_TELLING = 64  # tokens; so many documents of one token each do not begin a file
_BACK = 2**19  # tokens looked at, at a time, for the end of the document before


class NoIds(DataError):
    """A numpy array is of something else than token ids."""


def recognised(path: Path, *, name: str, subset: str) -> TokenFile:
    """The tokens in a file whose name ends in ``.npy``, with or without numpy's header.

    Raises:
        NoIds: it is a numpy array of something else.
        DataError: it is empty, or a numpy array that cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(_NUMPY)) == _NUMPY:
            return _array(path, name, subset)
    return _filled(Memmap(name, subset, path, "dolma", None, 0, path.stat().st_size, None))


def _array(path: Path, name: str, subset: str) -> TokenFile:
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except ValueError as error:
        raise DataError(f"{path} cannot be read as a numpy array: {str(error).splitlines()[0]}") from error
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise NoIds(
            f"{path} is a numpy array of {array.dtype} and shape {array.shape}: expected token ids, which are integers "
            "in one dimension"
        )
    assert isinstance(array, np.memmap)
    return _filled(Memmap(name, subset, path, "numpy", array.dtype.str, array.offset, array.nbytes, None))


def _filled(file: "Memmap") -> TokenFile:
    if not file.size:
        raise DataError(f"{file.path} holds no tokens: remove it, or write it again")
    return file


@dataclass(frozen=True, slots=True)
class Memmap(TokenFile):
    """Documents that only the end of text tells apart."""

    def chunks(self, vocab_size: int, eos_id: int) -> Iterator[Chunk]:
        """All of it; a document that was cut ends where the file does.

        Raises:
            DataError: it holds no end of text, or wider integers than a headerless file should.
        """
        tokens, ended = self.tokens(vocab_size), False
        for start, found in self._pass(vocab_size):
            ends = start + 1 + np.flatnonzero(found == eos_id)
            is_last, ended = start + found.size == tokens, ended or ends.size > 0
            if start == 0:
                self._check_width(found)
            if is_last and not ended:
                raise DataError(
                    f"{self.path}: none of its {tokens} tokens is the end of text ({eos_id}): expected one after each "
                    f"document, in {self.stored_as(vocab_size)} and by this tokenizer; the last is {found[-1]}: if "
                    f"documents end with that, give eos_id={found[-1]}"
                )
            yield Chunk(start, found, np.append(ends, tokens) if is_last and found[-1] != eos_id else ends)

    def _check_width(self, first: NDArray[np.integer[Any]]) -> None:
        """Small ids of 32 bits, read as of 16, are ids and zeros, which no later check need find."""
        if self.dtype is None and first.itemsize == 2 and first.size >= _TELLING and not first[1::2].any():
            raise DataError(
                f"{self.path}: every other number of 16 bits is 0, as if it were uint32: expected uint16, as for any "
                "vocabulary of at most 65536; numpy's own .npy, with its header, may be of any integer type"
            )

    def border(self, vocab_size: int, eos_id: int, at: int) -> int:
        """Where the last document begins that begins at token ``at`` or before."""
        stop = at
        while stop:
            start = max(0, stop - _BACK)
            ends = np.flatnonzero(self.read(vocab_size, start, stop - start) == eos_id)
            if ends.size:
                return start + int(ends[-1]) + 1
            stop = start
        return 0

    def _bounds(self, vocab_size: int, eos_id: int, share: float) -> NDArray[np.int64]:
        """Of the documents that begin in a window there, or at the file's beginning where none does."""
        at = int(share * self.tokens(vocab_size))
        inside = self._in_window(vocab_size, eos_id, at)
        return inside if inside.size > 1 else self._in_window(vocab_size, eos_id, 0)

    def _in_window(self, vocab_size: int, eos_id: int, at: int) -> NDArray[np.int64]:
        tokens = self.read(vocab_size, at, _WINDOW)
        first = np.zeros(0 if at else 1, np.int64)
        return at + np.unique(np.concatenate([first, np.flatnonzero(tokens == eos_id) + 1, [tokens.size]]))
