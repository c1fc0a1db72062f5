"""What a loss means on a corpus: the cross-entropy that two simple predictors reach on its validation split.

Counts come from the training split, the mean is over the validation split, in nats per token:

    unigram   p(b)     = (n(b) + 1) / (N + V)                  knows how often each token occurs
    bigram    p(b | a) = (n(a, b) + m p(b)) / (n(a) + m)       knows the token before, smoothed towards the unigram

A model below the first has learned more than frequencies, below the second more than pairs.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from repro.data.manifest import Entropies
from repro.data.shards import Tokens

# m: of 1, 5, 10, 20, 50 ... 2000 the best by leaving one out of python-stdlib's training split, at 4096 entries
PSEUDO_COUNT = 50.0
_CHUNK = 2**22  # tokens counted at a time


def entropies(
    train: Sequence[Tokens], validation: Sequence[Tokens], *, vocab_size: int, bytes_of_text: int
) -> Entropies:
    """Both cross-entropies of ``validation``, and its bytes of text per token.

    Args:
        train, validation: shards, each ``(tokens,)``; a pair of tokens lies in one shard.
        vocab_size: ``V``.
        bytes_of_text: of the validation split.
    """
    counts = sum((np.bincount(shard, minlength=vocab_size) for shard in train), np.zeros(vocab_size, dtype=np.int64))
    held_out = sum((np.bincount(s, minlength=vocab_size) for s in validation), np.zeros(vocab_size, dtype=np.int64))
    probability = (counts + 1) / (counts.sum() + vocab_size)
    n_tokens = int(held_out.sum())
    return Entropies(
        unigram=float(-(held_out @ np.log(probability)) / n_tokens),
        bigram=_bigram(train, validation, probability),
        bytes_per_token=bytes_of_text / n_tokens,
    )


def _bigram(train: Sequence[Tokens], validation: Sequence[Tokens], probability: NDArray[np.float64]) -> float:
    vocab_size = len(probability)
    wanted, times = np.unique(np.concatenate([_pairs(s, vocab_size) for s in validation]), return_counts=True)
    pair_counts = np.zeros(len(wanted), dtype=np.int64)
    context_counts = np.zeros(vocab_size, dtype=np.int64)
    for shard in train:
        for start in range(0, len(shard) - 1, _CHUNK):
            pairs, found = np.unique(_pairs(shard[start : start + _CHUNK + 1], vocab_size), return_counts=True)
            np.add.at(context_counts, pairs // vocab_size, found)
            _, ours, theirs = np.intersect1d(wanted, pairs, assume_unique=True, return_indices=True)
            pair_counts[ours] += found[theirs]
    before, after = np.divmod(wanted, vocab_size)
    smoothed = pair_counts + PSEUDO_COUNT * probability[after]
    return float(-(times @ np.log(smoothed / (context_counts[before] + PSEUDO_COUNT))) / times.sum())


def _pairs(tokens: Tokens, vocab_size: int) -> NDArray[np.uint64]:
    """Each token and its successor as one number, ``(tokens - 1,)``."""
    return tokens[:-1].astype(np.uint64) * np.uint64(vocab_size) + tokens[1:]
