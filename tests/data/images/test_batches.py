"""The loader of images: the same batches on any ranks and workers, exact resuming, and evaluation."""

import pytest
import torch

from repro.data.images.augment import TestView, TrainView
from repro.data.images.draws import draws
from repro.data.images.glyphs import glyphs
from repro.data.images.order import EpochBatches
from repro.errors import DataError, RunError
from tests.data.images.pictures import at, image_data, numbered

# From Python 3.12 a fork of a process with threads warns; the workers only read files.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")


def train_batches(data, **place):
    return list(at(data, **place).train_dataloader())


def same(ours, theirs):
    return len(ours) == len(theirs) and all(
        torch.equal(a, b) for one, other in zip(ours, theirs, strict=True) for a, b in zip(one, other, strict=True)
    )


def test_a_batch_is_uint8_images_and_their_labels():
    images, labels = train_batches(image_data(numbered()))[0]
    assert images.shape == (8, 3, 16, 16)
    assert images.dtype == torch.uint8
    assert labels.shape == (8,)
    assert labels.dtype == torch.int64


@pytest.mark.parametrize("changes", [{}, {"crop": "padded", "randaugment": 6}])
def test_each_image_is_the_view_of_its_seed_epoch_and_index(changes):
    pictures = numbered()
    data = image_data(pictures, **changes)
    view = TrainView(16, changes.get("crop", "random-resized"), flip=True, randaugment=changes.get("randaugment", 0))
    order = EpochBatches(50, samples_per_step=8, micro_batch=8, steps=20, seed=1)
    for (images, labels), (epoch, indices) in zip(train_batches(data), order, strict=True):
        for place, index in enumerate(indices.tolist()):
            assert torch.equal(images[place], view(pictures.train[index], draws("augment", 1, epoch, index)))
            assert labels[place] == pictures.train.labels[index]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_do_not_depend_on_workers(workers):
    assert same(train_batches(image_data(numbered(), workers=workers)), train_batches(image_data(numbered())))


@pytest.mark.parametrize(("world_size", "micro_batch"), [(1, 2), (2, 4), (4, 1)])
def test_global_batches_are_the_same_for_any_ranks_and_micro_batch(world_size, micro_batch):
    whole = torch.stack([images for images, _ in train_batches(image_data(numbered()))])
    share = 8 // world_size
    for rank in range(world_size):
        data = image_data(numbered(), micro_batch=micro_batch)
        own = torch.cat([images for images, _ in train_batches(data, rank=rank, world_size=world_size)])
        assert torch.equal(own.unflatten(0, (20, share)), whole[:, rank * share : (rank + 1) * share])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("step", [1, 6, 9])  # an epoch has six steps
def test_resuming_gives_the_rest_mid_epoch_and_at_an_epochs_end(workers, step):
    whole = train_batches(image_data(numbered(), randaugment=4))
    rest = train_batches(image_data(numbered(), randaugment=4, workers=workers), step=step)
    assert same(rest, whole[step:])


def test_another_epoch_shows_an_image_otherwise():
    data = image_data(numbered(train=8), steps=2, flip=False)
    (first, labels), (second, others) = train_batches(data)
    assert sorted(labels.tolist()) == sorted(others.tolist())
    assert not any(torch.equal(a, b) for a in first for b in second)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_validation_has_every_image_once_and_marks_its_padding(world_size, workers):
    pictures = numbered(validation=9)
    ranks = [
        list(
            at(image_data(pictures, micro_batch=2, workers=workers), rank=r, world_size=world_size).validation_batches()
        )
        for r in range(world_size)
    ]
    assert len({len(batches) for batches in ranks}) == 1, "ranks step together"
    images, labels, present = (
        torch.cat(parts) for parts in zip(*(b for batches in ranks for b in batches), strict=True)
    )
    assert present.sum() == 9
    assert len(images) == len(ranks[0]) * world_size * 2
    view = TestView(16, 18)
    assert torch.equal(images[present], torch.stack([view(pictures.validation[index]) for index in range(9)]))
    assert labels[present].tolist() == pictures.validation.labels.tolist()
    assert not images[~present].any()


def test_validation_does_not_depend_on_the_step():
    data = image_data(numbered())
    assert same(list(at(data, step=11).validation_batches()), list(at(data).validation_batches()))


def test_before_it_has_a_trainer_it_serves_one_rank_from_the_beginning():
    data = image_data(numbered())
    assert same(list(data.train_dataloader()), train_batches(data))
    assert data.validation_images == 9


def test_its_loader_has_the_length_of_the_run_and_no_state():
    loader = at(image_data(numbered(), micro_batch=4), step=5).train_dataloader()
    assert len(loader) == 40
    assert loader.state_dict() == {}


def test_nothing_is_drawn_from_the_process_generator():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    train_batches(image_data(numbered(), workers=1, randaugment=6))
    assert torch.equal(torch.get_rng_state(), state)


def test_glyphs_are_served_like_any_other():
    data = image_data(glyphs(), source="glyphs", size=32, crop="padded", flip=False, steps=1)
    images, labels = next(iter(data.train_dataloader()))
    assert images.shape == (8, 3, 32, 32)
    assert labels.max() < 62


def test_a_checkpoint_of_other_images_is_refused():
    data = image_data(numbered())
    data.load_state_dict(data.state_dict())
    with pytest.raises(RunError) as caught:
        data.load_state_dict({"images": "glyphs", "fingerprint": "0" * 16})
    assert str(caught.value) == (
        "the checkpoint was trained on glyphs, 0000000000000000, but here are numbered images, 0123456789abcdef: "
        "expected the images that the run began with"
    )


def test_a_batch_that_does_not_fit_the_set_is_refused_at_once():
    with pytest.raises(DataError, match=r"^50 training images are fewer than budget\.samples_per_step=64"):
        image_data(numbered(), samples_per_step=64)
