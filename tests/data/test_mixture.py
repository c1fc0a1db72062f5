"""Mixtures of subsets: their proportions at every prefix, their epochs, and that nothing else changes them."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from repro.data.manifest import Prepared
from repro.data.mixture import Mixture, Part, places
from repro.errors import DataError
from tests.data.test_text import CONTEXT, at, text_data, train_batches

# From Python 3.12 a fork of a process with threads warns; the workers only read files.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")

WEIGHTS = {"web": 0.7, "books": 0.1, "code": 0.2}


def fractions(weights):
    return [Fraction(str(weight)) for weight in weights]


def numbers(n, first=0):
    return np.arange(first, first + n, dtype=np.uint64)


def of_shards(prepared, shards):
    """The set, with these shards in place of its own."""
    piece = prepared.manifest.pieces[0].model_copy(update={"shards": tuple(shards)})
    return Prepared(prepared.folder, prepared.manifest.model_copy(update={"pieces": (piece,)}))


@pytest.fixture(scope="session")
def mixed_set(shared_set):
    """The small library, whose training shards are of four subsets in turns."""
    turns = ("books", "web", "code", "rest")
    named = [s.model_copy(update={"subset": turns[i % 4]}) for i, s in enumerate(shared_set.shards("train"))]
    return of_shards(shared_set, (*named, *shared_set.shards("validation")))


def subset_of(prepared, windows):
    """The subset of each window of the training split."""
    shards = [shard for shard in prepared.shards("train") if shard.tokens > CONTEXT]
    ends = np.cumsum([(shard.tokens - 1) // CONTEXT for shard in shards])
    return np.array([shards[i].subset for i in ends.searchsorted(windows, side="right")])


# Proportions


@pytest.mark.parametrize(
    "weights",
    [[1, 1], [0.7, 0.1, 0.2], [1, 999], [3, 1, 4, 1, 5, 9, 2, 6], [878, 240, 59, 28, 24.5, 20, 1e-3], [1] * 16],
)
def test_at_every_prefix_a_subset_has_its_share_within_two_samples(weights):
    n = 50_000
    subset, _ = places(numbers(n), fractions(weights))
    for i, weight in enumerate(weights):
        share = weight / sum(weights) * np.arange(1, n + 1)
        assert np.abs((subset == i).cumsum() - share).max() <= 0.5 * max(1, np.ceil(np.log2(len(weights)))) + 1e-6


def test_the_samples_of_a_subset_are_numbered_one_after_the_other():
    subset, number = places(numbers(10_000), fractions([0.7, 0.1, 0.2]))
    for i in range(3):
        assert np.array_equal(number[subset == i], np.arange((subset == i).sum()))


@pytest.mark.parametrize(
    "weights", [[1, 2], [0.67, 0.15, 0.045, 0.045, 0.045, 0.025, 0.02], [878_123_456_789, 17_000_000_003, 59e9, 2e10]]
)
def test_far_into_a_run_they_are_as_exact(weights):
    """At 2^40 samples, whose products with a ratio's numerator are beyond 64 bits, and its digits beyond a float's."""
    first, exact = 2**40 - 500, fractions(weights)
    subset, number = places(numbers(1000, first), exact)
    for i, weight in enumerate(exact):
        own = number[subset == i].astype(np.int64)
        assert abs(own[0] - first * weight / sum(exact)) <= 2
        assert np.array_equal(own, own[:1] + np.arange(len(own)))


def test_only_proportions_count():
    first, second = (places(numbers(1000), fractions(w)) for w in ([0.1, 0.2, 0.7], [2, 4, 14]))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_sample_does_not_depend_on_those_asked_for_with_it():
    weights = fractions([3, 1, 4, 1, 5])
    subset, number = places(numbers(5000), weights)
    for k in range(0, 5000, 131):
        assert [int(x[0]) for x in places(numbers(1, k), weights)] == [subset[k], number[k]]


def test_the_order_is_the_same_on_every_machine():
    """To change these numbers is to change every mixed run's data: say so in the changelog."""
    assert places(numbers(12), fractions([1, 2, 3]))[0].tolist() == [2, 1, 0, 2, 1, 2, 2, 1, 0, 2, 1, 2]
    part = Part("web", Fraction(1), ends=np.array([4, 10]), shifts=np.array([100, 200]))
    assert part.windows(numbers(12), 7).tolist() == [204, 206, 207, 102, 205, 209, 208, 103, 100, 101, 204, 209]


# Windows


def test_one_epoch_of_each_subset_visits_each_of_its_windows_once(mixed_set):
    mixture = Mixture(mixed_set, WEIGHTS, CONTEXT)
    windows = mixture.windows(np.arange(40 * max(part.n_windows for part in mixture.parts)), seed=3)
    subset = subset_of(mixed_set, windows)
    everything = np.arange(sum((max(0, s.tokens - 1)) // CONTEXT for s in mixed_set.shards("train")))
    epochs = []
    for part in mixture.parts:
        own = np.flatnonzero(subset_of(mixed_set, everything) == part.name)
        visited = windows[subset == part.name][: 2 * part.n_windows].reshape(2, -1)
        assert np.array_equal(np.sort(visited), [own, own])
        epochs.append(visited[0].tolist() != visited[1].tolist())
    assert all(epochs), "another order in each"


def test_seeds_differ_and_the_order_of_the_weights_does_not(mixed_set):
    samples = np.arange(500).reshape(5, 100)
    first, again = (Mixture(mixed_set, w, CONTEXT) for w in (WEIGHTS, dict(reversed(WEIGHTS.items()))))
    assert np.array_equal(first.windows(samples, 1), again.windows(samples, 1))
    assert not np.array_equal(first.windows(samples, 1), first.windows(samples, 2))


def test_subsets_of_one_size_are_not_permuted_alike(mixed_set):
    """Or the mixture's windows would go through both in step."""
    shard = mixed_set.shards("train")[0]
    twins = of_shards(mixed_set, [shard.model_copy(update={"subset": name}) for name in ("a", "b")])
    mixture = Mixture(twins, {"a": 1, "b": 1}, CONTEXT)
    n = mixture.parts[0].n_windows
    windows = mixture.windows(np.arange(2 * n), 0)
    a, b = (windows[(windows >= n) == side] - n * side for side in (False, True))
    assert np.array_equal(np.sort(a), np.sort(b))
    assert not np.array_equal(a, b)


def test_what_is_left_out_and_how_often_the_rest_is_seen(mixed_set):
    mixture = Mixture(mixed_set, WEIGHTS, CONTEXT)
    assert mixture.left_out == ("rest",)
    assert [part.name for part in mixture.parts] == ["books", "web", "code"]
    windows = {part.name: part.n_windows for part in mixture.parts}
    assert mixture.epochs(1000) == pytest.approx({name: 1000 * WEIGHTS[name] / windows[name] for name in WEIGHTS})


# Through the loader


def mixed(prepared, **changes):
    return text_data(prepared, **({"mixture": WEIGHTS, "steps": 20} | changes))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("world_size", "micro_batch"), [(1, 2), (4, 2), (8, 1)])
def test_global_batches_are_the_same_for_any_ranks_micro_batch_and_workers(mixed_set, world_size, micro_batch, workers):
    reference = torch.stack(train_batches(mixed(mixed_set)))
    data, share = mixed(mixed_set, micro_batch=micro_batch, workers=workers), 8 // world_size
    for rank in range(world_size) if workers == 0 else [world_size - 1]:
        own = torch.cat(train_batches(data, rank=rank, world_size=world_size)).unflatten(0, (20, share))
        assert torch.equal(own, reference[:, rank * share : (rank + 1) * share])


@pytest.mark.parametrize("step", [1, 7, 19])
def test_a_run_goes_on_where_it_stopped_on_another_number_of_ranks(mixed_set, step):
    whole = torch.stack(train_batches(mixed(mixed_set)))
    data = mixed(mixed_set, micro_batch=2)
    ranks = [torch.cat(train_batches(data, step=step, rank=rank, world_size=4)) for rank in range(4)]
    assert torch.equal(
        torch.stack([rank.unflatten(0, (20 - step, 2)) for rank in ranks], 1).flatten(1, 2), whole[step:]
    )


def test_a_step_has_the_proportions_of_the_run(mixed_set):
    data = mixed(mixed_set, sequences_per_step=100, micro_batch=100)
    for batch in at(data).train_dataloader().batch_sampler:
        names, counts = np.unique(subset_of(mixed_set, batch), return_counts=True)
        assert dict(zip(names, counts, strict=True)) == pytest.approx({"web": 70, "books": 10, "code": 20}, abs=2)


def test_validation_is_not_mixed_and_no_mixture_is_no_change(mixed_set, shared_set):
    plain = text_data(shared_set)
    assert torch.equal(torch.cat(train_batches(text_data(mixed_set))), torch.cat(train_batches(plain)))
    assert all(
        torch.equal(a, b)
        for a, b in zip(at(mixed(mixed_set)).validation_batches(), at(plain).validation_batches(), strict=True)
    )


# What cannot be mixed


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"web": 1, "boks": 1}, "has no subset 'boks'. Did you mean 'books'? It has: books, web, code, rest"),
        ({"": 1}, "has no subset ''. It has: books, web, code, rest"),
    ],
)
def test_an_unknown_subset_is_told_in_one_line(mixed_set, weights, message):
    with pytest.raises(DataError) as refused:
        mixed(mixed_set, mixture=weights)
    assert str(refused.value) == f"data.mixture: {mixed_set.folder} {message}"


def test_a_set_without_subsets_cannot_be_mixed(shared_set):
    with pytest.raises(DataError, match=r"^data\.mixture: .* has no subsets to mix; expected data\.mixture=null$"):
        mixed(shared_set)


def test_a_subset_without_a_window_is_told_in_one_line(mixed_set):
    short = [s.model_copy(update={"tokens": 5}) if s.subset == "code" else s for s in mixed_set.manifest.shards]
    prepared = of_shards(mixed_set, short)
    with pytest.raises(DataError) as refused:
        Mixture(prepared, WEIGHTS, CONTEXT)
    assert str(refused.value) == (
        f"data.mixture: no shard of the subset 'code' of {mixed_set.folder} is long enough for a window: expected one "
        f"of more than context={CONTEXT} tokens"
    )
