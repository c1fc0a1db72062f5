"""What simple predictors reach, against hand computation and loops."""

import itertools
import math

import numpy as np
import pytest

from repro.data import shards
from repro.data.preparing import entropy
from repro.data.preparing.entropy import PSEUDO_COUNT, entropies
from repro.data.shards import Shard

M = PSEUDO_COUNT


@pytest.fixture
def measured(tmp_path):
    """The entropies of lists of tokens, each a shard, which are written as one file from ``start`` on."""

    def measured(train, validation, *, vocab_size, bytes_of_text=1, start=0):
        made = []
        for split, lists in (("train", train), ("validation", validation)):
            for number, tokens in enumerate(lists):
                file = f"{split}/{number:05d}.bin"
                with shards.writing(tmp_path / file, vocab_size) as writer:
                    writer.add(np.array([*[vocab_size - 1] * start, *tokens], dtype=np.uint32))
                size = bytes_of_text if number == 0 else 0
                common = {"split": split, "start": start, "documents": 1, "sha256": ""}
                made.append(Shard(file=file, tokens=len(tokens), bytes_of_text=size, **common))
        return entropies(tmp_path, made, vocab_size=vocab_size)

    return measured


def some(sizes, vocab_size, seed=0):
    """Shards of such sizes, of a few frequent tokens and many rare ones."""
    rng = np.random.default_rng(seed)
    return [np.minimum(rng.geometric(0.2, size), vocab_size - 1).tolist() for size in sizes]


def test_a_corpus_small_enough_to_compute_by_hand(measured):
    # Of V = 2: training "0 0 1 0", validation "0 1".
    found = measured([[0, 0, 1, 0]], [[0, 1]], vocab_size=2, bytes_of_text=10)
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
@pytest.mark.parametrize("start", [0, 5])
def test_they_are_their_definitions_at_any_chunk(measured, monkeypatch, chunk, vocab_size, start):
    monkeypatch.setattr(entropy, "_CHUNK", chunk)
    train, validation = some([300, 1, 201, 0], vocab_size), some([50, 77], vocab_size, seed=1)
    train[0][:10] = [vocab_size - 1] * 10
    found = measured(train, validation, vocab_size=vocab_size, bytes_of_text=127, start=start)
    # Both are means of a hundred numbers near 3, in float64.
    assert (found.unigram, found.bigram) == pytest.approx(by_loops(train, validation, vocab_size), rel=1e-12)


def of_all(train, validation, vocab_size):
    """The definitions as arrays that hold everything: what was computed before there was a bound."""
    train, validation = [np.array(s) for s in train], [np.array(s) for s in validation]
    counts, times = (np.bincount(np.concatenate(split), minlength=vocab_size) for split in (train, validation))
    p = (counts + 1) / (counts.sum() + vocab_size)
    pairs, wanted = (np.concatenate([s[:-1] * vocab_size + s[1:] for s in split]) for split in (train, validation))
    wanted, repeats = np.unique(wanted, return_counts=True)
    before, after = np.divmod(wanted, vocab_size)
    found = np.array([(pairs == pair).sum() for pair in wanted])
    contexts = np.bincount(pairs // vocab_size, minlength=vocab_size)
    log_p = np.log((found + M * p[after]) / (contexts[before] + M))
    return float(-(times @ np.log(p)) / times.sum()), float(-(repeats @ log_p) / repeats.sum())


@pytest.mark.parametrize("spare", [0, 1000])
def test_up_to_the_bound_all_tokens_count_and_the_numbers_are_those_without_it_to_the_bit(measured, monkeypatch, spare):
    train, validation = some([500, 300], 40), some([100, 60], 40, seed=1)
    monkeypatch.setattr(entropy, "COUNTED", {"train": 800 + spare, "validation": 160 + spare})
    found = measured(train, validation, vocab_size=40)
    assert (found.unigram, found.bigram) == of_all(train, validation, 40)


def in_blocks(lists, most, block):
    """``most`` tokens in blocks that begin at even distances, cut where a shard ends."""
    flat, of = list(itertools.chain(*lists)), [number for number, tokens in enumerate(lists) for _ in tokens]
    for number in range(most // block):
        start = number * len(flat) * block // most
        places = range(start, start + block)
        yield from ([flat[place] for place in group] for _, group in itertools.groupby(places, lambda p: of[p]))


def test_of_more_tokens_those_in_blocks_at_even_distances_count(measured, monkeypatch):
    monkeypatch.setattr(entropy, "_BLOCK", 16)
    monkeypatch.setattr(entropy, "COUNTED", {"train": 128, "validation": 64})
    train, validation = some([333, 3, 0, 200, 400], 40), some([70, 31], 40, seed=1)
    found = measured(train, validation, vocab_size=40, bytes_of_text=303, start=3)
    blocks = [[*in_blocks(split, most, 16)] for split, most in ((train, 128), (validation, 64))]
    assert [sum(map(len, parts)) for parts in blocks] == [128, 64]
    assert (found.unigram, found.bigram) == pytest.approx(by_loops(*blocks, 40), rel=1e-12)
    assert found.bytes_per_token == 303 / 101  # of all of validation


def test_one_token_more_than_the_bound_changes_little_and_reads_no_more(measured, monkeypatch):
    read, real = [], shards.read
    monkeypatch.setattr(shards, "read", lambda *a, **k: read.append(k["tokens"]) or real(*a, **k))
    monkeypatch.setattr(entropy, "_BLOCK", 8)
    monkeypatch.setattr(entropy, "COUNTED", {"train": 64, "validation": 64})
    measured(some([65], 40), some([64], 40), vocab_size=40)
    assert sorted(set(read)) == [8, 64]
    assert sum(read) == 2 * 64 + 2 * 64  # once for tokens and once for pairs


def test_pairs_do_not_reach_over_the_border_of_shards(measured):
    apart = measured([[0, 1], [2, 3]], [[1, 2]], vocab_size=4)
    together = measured([[0, 1, 2, 3]], [[1, 2]], vocab_size=4)
    assert together.bigram < apart.bigram


@pytest.mark.parametrize(
    ("train", "validation"),
    [([], [[1, 2]]), ([[1, 2]], []), ([[]], [[1, 2]]), ([[1, 2]], [[]]), ([[1, 2]], [[1], [2]])],
)
def test_without_both_splits_there_are_none(measured, train, validation):
    assert measured(train, validation, vocab_size=4) is None


def test_bytes_that_are_not_known_make_no_bytes_per_token(measured):
    found = measured([[1, 2]], [[1, 2]], vocab_size=4, bytes_of_text=None)
    assert found.bytes_per_token is None
    assert found.unigram > 0


def test_text_that_repeats_is_known_to_the_bigram(shared_set):
    found = shared_set.manifest.entropies
    assert found.bigram < found.unigram < math.log(320)
    assert found.bytes_per_token == pytest.approx(
        shared_set.manifest.totals["validation"].bytes_of_text / shared_set.tokens("validation")
    )
