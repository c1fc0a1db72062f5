"""What a loss means on a corpus: the cross-entropy that two simple predictors reach on its validation split.

Counts come from the training split, the mean is over the validation split, in nats per token:

    unigram   p(b)     = (n(b) + 1) / (N + V)                  knows how often each token occurs
    bigram    p(b | a) = (n(a, b) + m p(b)) / (n(a) + m)       knows the token before, smoothed towards the unigram

A model below the first has learned more than frequencies, below the second more than pairs.

Every token counts, up to ``COUNTED`` of a split. Of a larger one so many do, in blocks that begin at even distances
along its shards laid end to end: a set of any size takes seconds, and each shard has the weight of its tokens.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repro.data import shards
from repro.data.corpora import Split
from repro.data.manifest import Entropies
from repro.data.shards import Shard, Tokens

COUNTED: dict[Split, int] = {"train": 2**26, "validation": 2**22}  # tokens, at most
# m: of 1, 5, 10, 20, 50 ... 2000 the best by leaving one out of python-stdlib's training split, at 4096 entries
PSEUDO_COUNT = 50.0
_BLOCK = 2**16  # tokens: 1,024 places of a training split, 64 of a validation split
_CHUNK = 2**22  # tokens at a time


def entropies(folder: Path, made: Sequence[Shard], *, vocab_size: int) -> Entropies | None:
    """Both cross-entropies of the validation split, and the bytes of text per token of all of it.

    Args:
        folder: of the set.
        made: its shards; the two tokens of a pair lie in one of them, and in one block.
        vocab_size: ``V``.

    Returns:
        None where there is nothing to count in a split. ``bytes_per_token`` is None where not all bytes are known.
    """
    train, validation = (partial(_parts, folder, made, split, vocab_size) for split in COUNTED)
    counts, times = _counts(train(), vocab_size), _counts(validation(), vocab_size)
    wanted, repeats = np.unique(np.concatenate([_NO_PAIRS, *_pairs(validation(), vocab_size)]), return_counts=True)
    if not counts.any() or not wanted.size:
        return None
    probability = (counts + 1) / (counts.sum() + vocab_size)
    conditional = _conditional(_pairs(train(), vocab_size), wanted, probability)
    return Entropies(
        unigram=float(-(times @ np.log(probability)) / int(times.sum())),
        bigram=float(-(repeats @ np.log(conditional)) / repeats.sum()),
        bytes_per_token=_bytes_per_token([shard for shard in made if shard.split == "validation"]),
    )


_NO_PAIRS = np.empty(0, dtype=np.uint64)


def _conditional(
    pairs: Iterable[NDArray[np.uint64]], wanted: NDArray[np.uint64], probability: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``p(b | a)`` of the pairs ``wanted``, which are in ascending order, as they are."""
    vocab_size = len(probability)
    found = np.zeros(len(wanted), dtype=np.int64)
    contexts = np.zeros(vocab_size, dtype=np.int64)
    for chunk in pairs:
        chunk.sort()
        found += chunk.searchsorted(wanted, side="right") - chunk.searchsorted(wanted)
        contexts += np.bincount((chunk // vocab_size).astype(np.int64), minlength=vocab_size)
    before, after = np.divmod(wanted, vocab_size)
    smoothed: NDArray[np.float64] = found + PSEUDO_COUNT * probability[after]
    return smoothed / (contexts[before] + PSEUDO_COUNT)


def _parts(folder: Path, made: Sequence[Shard], split: Split, vocab_size: int) -> Iterator[Tokens]:
    """What counts of a split, mapped into memory."""
    own = [shard for shard in made if shard.split == split]
    ends = [*accumulate(shard.tokens for shard in own)]
    for start, end in _blocks(ends[-1] if ends else 0, COUNTED[split]):
        number = bisect_right(ends, start)
        while start < end:
            shard, stop = own[number], min(end, ends[number])
            first = shard.start + start - (ends[number] - shard.tokens)
            if stop > start:
                yield shards.read(folder / shard.file, vocab_size, start=first, tokens=stop - start)
            start, number = stop, number + 1


def _blocks(total: int, most: int) -> list[tuple[int, int]]:
    """The first token, and that after the last, of each block of the shards laid end to end; or all as one."""
    if total <= most:
        return [(0, total)]
    starts = [number * total * _BLOCK // most for number in range(most // _BLOCK)]
    return [(start, start + _BLOCK) for start in starts]


def _counts(parts: Iterable[Tokens], vocab_size: int) -> NDArray[np.int64]:
    """How often each token occurs, ``(vocab_size,)``."""
    counts = np.zeros(vocab_size, dtype=np.int64)
    for part in parts:
        for start in range(0, len(part), _CHUNK):
            counts += np.bincount(part[start : start + _CHUNK], minlength=vocab_size)
    return counts


def _pairs(parts: Iterable[Tokens], vocab_size: int) -> Iterator[NDArray[np.uint64]]:
    """Each token and its successor as one number, at least ``_CHUNK`` of them at a time but for the last."""
    waiting: list[NDArray[np.uint64]] = []
    for part in parts:
        for start in range(0, len(part) - 1, _CHUNK):
            tokens = part[start : start + _CHUNK + 1]
            waiting.append(tokens[:-1].astype(np.uint64) * np.uint64(vocab_size) + tokens[1:])
            if sum(map(len, waiting)) >= _CHUNK:
                yield np.concatenate(waiting)
                waiting = []
    if waiting:
        yield np.concatenate(waiting)


def _bytes_per_token(validation: Sequence[Shard]) -> float | None:
    held = shards.total(validation)
    return None if held.bytes_of_text is None else held.bytes_of_text / held.tokens
