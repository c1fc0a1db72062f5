"""The stateless order."""

from functools import partial

import numpy as np
import pytest

from repro.data.order import StepBatches, windows
from repro.errors import DataError

N = 1003  # no power of two


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 64, 65, 1003, 4096, 100_003])
@pytest.mark.parametrize("seed", [0, -1, 2**70])
def test_every_epoch_is_a_permutation(n, seed):
    for epoch in range(3):
        order = windows(np.arange(epoch * n, (epoch + 1) * n), n, seed)
        assert np.array_equal(np.sort(order), np.arange(n))


def test_seeds_and_epochs_differ():
    first, second = (windows(np.arange(2 * N), N, seed).reshape(2, N) for seed in (0, 1))
    for a, b in [(first[0], first[1]), (first[0], second[0]), (first[1], second[0]), (first[0], np.arange(N))]:
        # Two random permutations agree in one place on average, and in more than ten with a chance of 1e-8.
        assert (a == b).sum() <= 10


def test_a_window_comes_early_or_late_by_chance():
    """Over many epochs the place of window 0 is uniform: mean (n - 1) / 2, within four standard errors."""
    n, epochs = 101, 4000
    places = np.nonzero(windows(np.arange(n * epochs), n, 3).reshape(epochs, n) == 0)[1]
    assert abs(places.mean() - (n - 1) / 2) < 4 * np.sqrt((n**2 - 1) / 12 / epochs)


def test_the_order_is_the_same_on_every_machine():
    """To change these numbers is to change every run's data: say so in the changelog."""
    assert windows(np.arange(20), 10, 0).tolist() == [9, 8, 4, 0, 2, 1, 5, 3, 7, 6, 9, 1, 6, 5, 2, 0, 3, 4, 7, 8]
    assert windows(np.array([2**40]), 61_035_156, 1234).tolist() == [13_865_578]


def test_a_sample_does_not_depend_on_those_asked_for_with_it():
    together = windows(np.arange(3 * N), N, 5)
    assert [int(windows(np.array([k]), N, 5)[0]) for k in range(0, 3 * N, 97)] == together[::97].tolist()


def global_batches(world_size, micro_batch, *, consumed=0, steps=80, n=N, per_step=16):
    """The windows of each step, all ranks together, in the order of the ranks."""
    options = {"sequences_per_step": per_step, "micro_batch": micro_batch, "steps": steps}
    order = partial(windows, n=n, seed=7)
    ranks = [
        np.concatenate(list(StepBatches(order, rank=rank, world_size=world_size, consumed=consumed, **options)))
        for rank in range(world_size)
    ]
    return np.stack([rank.reshape(-1, per_step // world_size) for rank in ranks], axis=1).reshape(-1, per_step)


@pytest.mark.parametrize(("world_size", "micro_batch"), [(1, 1), (1, 8), (4, 4), (4, 2), (8, 2), (16, 1)])
def test_ranks_and_micro_batches_do_not_change_a_steps_windows(world_size, micro_batch):
    assert np.array_equal(global_batches(world_size, micro_batch), global_batches(1, 16))


def test_the_windows_of_a_step_are_those_of_its_samples():
    assert np.array_equal(global_batches(1, 16).ravel(), windows(np.arange(80 * 16), N, 7))


@pytest.mark.parametrize("step", [1, 40, 62, 63, 79, 80])  # the first epoch ends in step 62
def test_a_resumed_order_goes_on_where_it_stopped(step):
    rest = global_batches(2, 4, consumed=16 * step) if step < 80 else np.empty((0, 16))
    assert np.array_equal(rest, global_batches(1, 16)[step:])


def test_a_step_larger_than_the_corpus_goes_through_it_again():
    batches = global_batches(2, 4, n=3, steps=4)
    assert np.array_equal(np.sort(batches.ravel()[:6].reshape(2, 3)), [[0, 1, 2], [0, 1, 2]])


def test_blocks_of_the_order_are_not_seen(monkeypatch):
    whole = global_batches(1, 16)
    monkeypatch.setattr("repro.data.order._BLOCK", 50)
    assert np.array_equal(global_batches(1, 16), whole)


@pytest.mark.parametrize("consumed", [0, 16, 800])
def test_the_length_is_that_of_the_whole_run(consumed):
    options = {"sequences_per_step": 16, "micro_batch": 2, "steps": 80, "world_size": 4}
    assert len(StepBatches(np.copy, consumed=consumed, **options)) == 160


def test_a_global_batch_that_does_not_divide_names_both_sides():
    with pytest.raises(DataError, match=r"^16 sequences a step .* micro-batches of 3 on 4 ranks: .* a multiple of 12$"):
        StepBatches(np.copy, sequences_per_step=16, micro_batch=3, steps=1, world_size=4)
