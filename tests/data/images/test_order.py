"""Which images are read in which step, on which rank."""

import numpy as np
import pytest

from repro.data.images.order import PADDING, EpochBatches, in_order, steps_per_epoch
from repro.errors import DataError

N, GLOBAL = 100, 16  # six batches an epoch, four images left out of each


def batches(world_size=1, micro_batch=GLOBAL, **changes):
    """Epochs and indices of every step, ``(steps, GLOBAL)``, put together from all ranks."""
    options = {"samples_per_step": GLOBAL, "micro_batch": micro_batch, "steps": 20, "seed": 3, "world_size": world_size}
    ranks = [list(EpochBatches(N, rank=rank, **(options | changes))) for rank in range(world_size)]
    shares = [np.concatenate([numbers.indices for numbers in own]).reshape(-1, GLOBAL // world_size) for own in ranks]
    each = GLOBAL // world_size // micro_batch
    return [numbers.epoch for numbers in ranks[0]][::each], np.concatenate(shares, axis=1)


def test_an_epoch_has_no_image_twice_and_leaves_out_less_than_a_batch():
    epochs, indices = batches(steps=18)
    assert epochs == [0] * 6 + [1] * 6 + [2] * 6
    for epoch in indices.reshape(3, 6 * GLOBAL):
        assert len(set(epoch)) == 6 * GLOBAL
        assert set(epoch) < set(range(N))


def test_epochs_and_seeds_have_orders_of_their_own():
    _, indices = batches(steps=12)
    assert not np.array_equal(indices[:6], indices[6:])
    assert not np.array_equal(indices, batches(steps=12, seed=4)[1])


def test_every_image_comes_up_over_a_few_epochs():
    assert set(batches(steps=30)[1].ravel()) == set(range(N))


@pytest.mark.parametrize(("world_size", "micro_batch"), [(1, 4), (2, 8), (4, 2), (16, 1)])
def test_a_step_reads_the_same_on_any_ranks_and_micro_batch(world_size, micro_batch):
    assert np.array_equal(batches(world_size, micro_batch)[1], batches()[1])


@pytest.mark.parametrize("done", [1, 5, 6, 7, 13, 19])
def test_a_resumed_order_goes_on_where_it_stopped(done):
    epochs, indices = batches()
    rest = batches(2, 4, done=done)
    assert rest[0] == epochs[done:]
    assert np.array_equal(rest[1], indices[done:])


def test_the_length_is_that_of_the_whole_run():
    options = {"samples_per_step": 16, "micro_batch": 2, "steps": 20, "seed": 0, "world_size": 4}
    assert len(EpochBatches(N, **options)) == len(EpochBatches(N, done=7, **options)) == 40


def test_an_epoch_of_exactly_its_batches_leaves_nothing_out():
    batches = EpochBatches(32, samples_per_step=16, micro_batch=16, steps=2, seed=0)
    assert sorted(np.concatenate([numbers.indices for numbers in batches])) == list(range(32))


def test_a_global_batch_that_does_not_divide_names_both_sides():
    with pytest.raises(DataError, match=r"^16 images a step .* micro-batches of 3 on 4 ranks: .* a multiple of 12$"):
        EpochBatches(N, samples_per_step=16, micro_batch=3, steps=1, seed=0, world_size=4)


def test_a_global_batch_larger_than_the_set_says_so():
    assert steps_per_epoch(16, 16) == 1
    with pytest.raises(DataError, match=r"^15 training images are fewer than budget\.samples_per_step=16: .* most 15$"):
        steps_per_epoch(15, 16)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 23, 24, 25])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_an_evaluation_has_every_image_once_and_batches_alike(n, world_size):
    ranks = [in_order(n, micro_batch=4, rank=rank, world_size=world_size) for rank in range(world_size)]
    assert len({len(own) for own in ranks}) == 1
    assert {len(numbers.indices) for own in ranks for numbers in own} == {4}
    seen = np.concatenate([numbers.indices for own in ranks for numbers in own])
    assert seen[seen != PADDING].tolist() == list(range(n)), "in order, one rank after the other"
    assert len(ranks[0]) == -(-n // (4 * world_size))
