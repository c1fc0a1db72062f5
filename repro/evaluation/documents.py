"""A prepared set as windows for a model and as documents for statistics.

Each shard is a stream of documents, each ended by the end of text. Every token of a stream is a target once, the ends
of text too, as in training; the first is predicted from what a text begins after. Windows of ``context`` inputs follow
each other with stride ``context`` and run across documents; a stream's last one is as long as what is left.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from repro.data.corpora import Split
from repro.data.manifest import Prepared
from repro.data.shards import Shard, Tokens
from repro.errors import DataError

Numbers = NDArray[np.int64]
SPLIT: Split = "validation"
_DECODED = 2**20  # tokens at a time
_SCANNED = 2**24  # tokens at a time


@dataclass(frozen=True)
class Stream:
    """Consecutive documents of one shard.

    Attributes:
        subset: number of the subset it belongs to.
        tokens: ``(tokens,)``, mapped into memory.
        ends: where ends of text stand, ``(ends,)``.
        first: the number of its first document, over all streams of the set.
        windows: numbers of its windows, from the first to the one after the last.
    """

    subset: int
    tokens: Tokens
    ends: Numbers
    first: int
    windows: range

    @property
    def documents(self) -> int:
        """How many; what follows the last end of text is one too."""
        whole = len(self.ends)
        return whole + (len(self.tokens) > (int(self.ends[-1]) + 1 if whole else 0))

    def numbers(self, start: int, stop: int) -> Numbers:
        """The document of each token from ``start`` to ``stop``; an end of text belongs to what it ends."""
        return self.first + self.ends.searchsorted(np.arange(start, stop))


@dataclass(frozen=True)
class Window:
    """``context`` tokens or fewer, the token before them, and the document of each."""

    before: int | None  # None: nothing stands before the first token of a stream
    tokens: Tokens
    documents: Numbers


class Documents:
    """The validation split of a prepared set.

    Args:
        prepared: the set.
        name: what a person calls it.
        context: tokens of a window.
        tokens: of each subset, in whole windows spread evenly over it; None takes all.

    Raises:
        DataError: there is nothing to evaluate.
    """

    def __init__(self, prepared: Prepared, *, name: str, context: int, tokens: int | None = None) -> None:
        self.prepared, self.name, self.context, self.asked = prepared, name, context, tokens
        self._shards = [shard for shard in prepared.shards(SPLIT) if shard.tokens]
        if not self._shards:
            raise DataError(f"{prepared.folder} has no validation split, which is what is evaluated")
        self.subsets = tuple(dict.fromkeys(shard.subset or name for shard in self._shards))

    @property
    def size(self) -> int:
        """Tokens that are evaluated."""
        return sum(self._length(subset) for subset in self.subsets)

    @cached_property
    def streams(self) -> list[Stream]:
        """All of them, subset by subset. Finding the documents reads every token, at the speed of the disk."""
        streams: list[Stream] = []
        documents = windows = 0
        for shard in sorted(self._shards, key=lambda shard: self.subsets.index(shard.subset or self.name)):
            tokens = self.prepared.map(shard)
            ends = _ends(tokens, self.prepared.manifest.eos_id)
            after = windows + self._windows(shard)
            subset = self.subsets.index(shard.subset or self.name)
            streams.append(Stream(subset, tokens, ends, documents, range(windows, after)))
            documents, windows = documents + streams[-1].documents, after
        return streams

    @cached_property
    def wanted(self) -> Numbers:
        """The numbers of the windows that are evaluated, in order."""
        wanted, first = [], 0
        for subset in self.subsets:
            there = sum(self._windows(shard) for shard in self._of(subset))
            taken = self._taken(there)
            wanted.append(first + np.arange(taken) * there // taken)
            first += there
        return np.concatenate(wanted)

    def window(self, number: int) -> Window:
        """One of them."""
        stream = self._stream(number)
        start, stop = self._range(stream, number, number)
        before = int(stream.tokens[start - 1]) if start else None
        return Window(before, stream.tokens[start:stop], stream.numbers(start, stop))

    def subset_of(self, documents: Numbers) -> Numbers:
        """The number of the subset of each document."""
        firsts = np.array([stream.first for stream in self.streams])
        return np.array([stream.subset for stream in self.streams])[firsts.searchsorted(documents, side="right") - 1]

    def bytes_of_text(self, tokenizer: Tokenizer) -> dict[int, int]:
        """UTF-8 bytes of what is evaluated of each document, by its number: of the text that its tokens decode to.

        A tokenizer that does not give the same text back changes them, and so does a window that begins or ends within
        a letter, where only some windows are evaluated.
        """
        found: dict[int, int] = {}
        for pieces in self._batches():
            texts = tokenizer.decode_batch([ids.tolist() for _, ids in pieces], skip_special_tokens=False)
            for (number, _), text in zip(pieces, texts, strict=True):
                found[number] = found.get(number, 0) + len(text.encode())
        return found

    def published_bytes(self, subset: str) -> int | None:
        """Bytes of text that its documents had before they were tokens, where all is evaluated and that is known."""
        known = [shard.bytes_of_text for shard in self._of(subset)]
        return None if self.asked or None in known else sum(n for n in known if n is not None)

    def _batches(self) -> Iterator[list[tuple[int, Tokens]]]:
        batch: list[tuple[int, Tokens]] = []
        tokens = 0
        for number, ids in self._pieces():
            batch.append((number, ids))
            tokens += len(ids)
            if tokens >= _DECODED:
                yield batch
                batch, tokens = [], 0
        yield batch

    def _pieces(self) -> Iterator[tuple[int, Tokens]]:
        """What is evaluated of each document, without its end of text, by the run of windows that follow each other."""
        for stream, first, last in self._runs():
            start, stop = self._range(stream, first, last)
            ends = stream.ends[stream.ends.searchsorted(start) : stream.ends.searchsorted(stop)]
            number = stream.first + int(stream.ends.searchsorted(start))
            for end in (*ends.tolist(), stop):
                if start < end:
                    yield number, stream.tokens[start:end]
                start, number = end + 1, number + 1

    def _runs(self) -> Iterator[tuple[Stream, int, int]]:
        """Windows that follow each other in a stream: the first and the last."""
        for stream in self.streams:
            first, after = self.wanted.searchsorted([stream.windows.start, stream.windows.stop])
            own = self.wanted[first:after]
            for run in np.split(own, np.flatnonzero(np.diff(own) > 1) + 1) if len(own) else []:
                yield stream, int(run[0]), int(run[-1])

    def _range(self, stream: Stream, first: int, last: int) -> tuple[int, int]:
        """The tokens of a stream that its windows from ``first`` to ``last`` predict."""
        start = (first - stream.windows.start) * self.context
        return start, min((last + 1 - stream.windows.start) * self.context, len(stream.tokens))

    @cached_property
    def _starts(self) -> Numbers:
        return np.array([stream.windows.start for stream in self.streams])

    def _stream(self, window: int) -> Stream:
        return self.streams[int(self._starts.searchsorted(window, side="right")) - 1]

    def _windows(self, shard: Shard) -> int:
        return -(-shard.tokens // self.context)

    def _of(self, subset: str) -> Sequence[Shard]:
        return [shard for shard in self._shards if (shard.subset or self.name) == subset]

    def _taken(self, there: int) -> int:
        return there if self.asked is None else min(there, max(1, self.asked // self.context))

    def _length(self, subset: str) -> int:
        whole = sum(shard.tokens for shard in self._of(subset))
        taken = self._taken(sum(self._windows(shard) for shard in self._of(subset)))
        return min(whole, taken * self.context)


def _ends(tokens: Tokens, eos_id: int) -> Numbers:
    found = [
        start + np.flatnonzero(tokens[start : start + _SCANNED] == eos_id) for start in range(0, len(tokens), _SCANNED)
    ]
    return np.concatenate(found).astype(np.int64)
