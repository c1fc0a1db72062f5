"""What simple predictors reach, against hand computation and loops."""

import itertools
import math

import numpy as np
import pytest

from repro.data import entropy
from repro.data.entropy import PSEUDO_COUNT, entropies

M = PSEUDO_COUNT


def tokens(*ids):
    return np.array(ids, dtype=np.uint16)


def test_a_corpus_small_enough_to_compute_by_hand():
    # Of V = 2: training "0 0 1 0", validation "0 1".
    found = entropies([tokens(0, 0, 1, 0)], [tokens(0, 1)], vocab_size=2, bytes_of_text=10)
    p0, p1 = (3 + 1) / (4 + 2), (1 + 1) / (4 + 2)
    assert found.unigram == pytest.approx(-(math.log(p0) + math.log(p1)) / 2, rel=1e-12)
    # 0 is the first of the pairs (0, 0) and (0, 1).
    assert found.bigram == pytest.approx(-math.log((1 + M * p1) / (2 + M)), rel=1e-12)
    assert found.bytes_per_token == 5


def by_loops(train, validation, vocab_size):
    """The definitions, token by token."""
    counts, pairs, contexts = [0] * vocab_size, {}, [0] * vocab_size
    for shard in train:
        for token in shard:
            counts[token] += 1
        for a, b in itertools.pairwise(shard):
            pairs[a, b] = pairs.get((a, b), 0) + 1
            contexts[a] += 1
    total = sum(counts) + vocab_size
    p = [(n + 1) / total for n in counts]
    unigram = [-math.log(p[token]) for shard in validation for token in shard]
    bigram = [
        -math.log((pairs.get((a, b), 0) + M * p[b]) / (contexts[a] + M))
        for shard in validation
        for a, b in itertools.pairwise(shard)
    ]
    return sum(unigram) / len(unigram), sum(bigram) / len(bigram)


@pytest.mark.parametrize("chunk", [7, 100, entropy._CHUNK])
@pytest.mark.parametrize("vocab_size", [17, 70_000])
def test_they_are_their_definitions_at_any_chunk(monkeypatch, chunk, vocab_size):
    monkeypatch.setattr(entropy, "_CHUNK", chunk)
    rng = np.random.default_rng(0)
    train, validation = (
        [np.minimum(rng.geometric(0.2, size), vocab_size - 1).astype(np.uint32) for size in sizes]
        for sizes in ((300, 1, 201), (50, 77))
    )
    train[0][:10] = vocab_size - 1
    found = entropies(train, validation, vocab_size=vocab_size, bytes_of_text=127)
    lists = [[shard.tolist() for shard in split] for split in (train, validation)]
    # Both are means of a hundred numbers near 3, in float64.
    assert (found.unigram, found.bigram) == pytest.approx(by_loops(*lists, vocab_size), rel=1e-12)


def test_pairs_do_not_reach_over_the_border_of_shards():
    apart = entropies([tokens(0, 1), tokens(2, 3)], [tokens(1, 2)], vocab_size=4, bytes_of_text=1)
    together = entropies([tokens(0, 1, 2, 3)], [tokens(1, 2)], vocab_size=4, bytes_of_text=1)
    assert together.bigram < apart.bigram


def test_text_that_repeats_is_known_to_the_bigram(shared_set):
    found = shared_set.manifest.entropies
    assert found.bigram < found.unigram < math.log(320)
    assert found.bytes_per_token == pytest.approx(
        shared_set.manifest.totals["validation"].bytes_of_text / shared_set.tokens("validation")
    )
