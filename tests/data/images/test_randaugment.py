"""RandAugment: timm's operations to the pixel, as often and as strong as there."""

import random

import numpy as np
import pytest
import torch
from PIL import Image

from repro.data.images import randaugment as module
from repro.data.images.draws import draws
from repro.data.images.randaugment import OPERATIONS, randaugment

timm = pytest.importorskip("timm.data.auto_augment")
transforms = pytest.importorskip("timm.data.transforms_factory")

CONFIGURATION = "rand-m6-mstd0.5-inc1"  # of timm's A3
IMAGE = torch.randint(256, (3, 41, 57), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
IMAGE = torch.nn.functional.avg_pool2d(IMAGE.float(), 3, 1, 1).to(torch.uint8)  # smoother, and not of all values
PICTURE = Image.fromarray(IMAGE.permute(1, 2, 0).numpy())
SEEDS = range(24)  # enough for all of four outcomes


@pytest.fixture(scope="module")
def theirs():
    """timm's transform as its training pipeline makes it, after the crop and the flip."""
    steps = transforms.transforms_imagenet_train(160, auto_augment=CONFIGURATION, separate=True)
    return steps[1].transforms[0]


def outcomes(call):
    return {call(seed).tobytes() for seed in SEEDS}


def timms_outcomes(theirs, name, magnitude):
    there, state = theirs.ops[list(OPERATIONS).index(name)], random.getstate()

    def call(seed):
        random.seed(seed)
        arguments = there.level_fn(magnitude, there.hparams) if there.level_fn else ()
        return there.aug_fn(PICTURE, *arguments, **there.kwargs)

    found = outcomes(call)
    random.setstate(state)
    return found


def test_the_operations_are_timms(theirs):
    there = [operation.name.removesuffix("Increasing").removesuffix("Rel") for operation in theirs.ops]
    assert list(OPERATIONS) == there
    assert theirs.num_layers == module.DRAWN
    assert {(op.prob, op.magnitude, op.magnitude_std, op.magnitude_max) for op in theirs.ops} == {
        (module.APPLIED, 6, module.DEVIATION, None)
    }


@pytest.mark.parametrize("magnitude", [0.4, 6, 9.9])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_gives_timms_pixels_whatever_is_drawn(theirs, name, magnitude):
    """Both ways, and interpolated linearly or cubically, where timm draws that."""
    ours = outcomes(lambda seed: OPERATIONS[name](PICTURE, magnitude / 10, np.random.default_rng(seed)))
    assert ours == timms_outcomes(theirs, name, magnitude)
    moves = name.startswith(("Rotate", "Shear", "Translate"))
    if magnitude >= 6:
        ways = 2 if name in {"Color", "Contrast", "Brightness", "Sharpness"} else 1
        assert len(ours) == (4 if moves else ways)


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_strongest_of_an_operation_is_timms(theirs, name):
    """But for posterising, to which timm gives no bits at all; Pillow refuses that from some version on."""
    ours = [OPERATIONS[name](PICTURE, 1.0, np.random.default_rng(seed)) for seed in SEEDS]
    if name == "Posterize":
        assert not np.asarray(ours[0]).any()
    else:
        assert {picture.tobytes() for picture in ours} == timms_outcomes(theirs, name, 10)


@pytest.fixture
def called(monkeypatch):
    """What was applied to 3,000 images, and how strongly; how many were left as they are."""
    applied = []
    recorded = {
        name: lambda picture, strength, rng, name=name: applied.append((name, strength)) or picture
        for name in OPERATIONS
    }
    monkeypatch.setattr(module, "OPERATIONS", recorded)

    def call(magnitude):
        applied.clear()
        untouched = sum(randaugment(IMAGE, magnitude, draws("t", 0, index)) is IMAGE for index in range(3000))
        return np.array([name for name, _ in applied]), np.array([s for _, s in applied]), untouched

    return call


def test_two_operations_are_drawn_of_which_each_is_applied_half_of_the_time(called):
    names, _, untouched = called(6)
    assert abs(len(names) - 3000) < 4 * 39  # of 6,000 with a deviation of sqrt(6000 / 4)
    assert abs(untouched - 750) < 4 * 24  # a quarter, with one of sqrt(3000 3 / 16)
    counts = np.array([(names == name).sum() for name in OPERATIONS])
    assert abs(counts - 200).max() < 4 * 14  # 6000 / 30 each


def test_magnitudes_scatter_by_half_a_unit_and_stay_within_the_scale(called):
    _, strengths, _ = called(6)
    assert abs(strengths.mean() - 0.6) < 4 * 0.05 / 3000**0.5
    assert abs(strengths.std() - 0.05) < 4 * 0.05 / 6000**0.5
    _, strengths, _ = called(10)
    assert strengths.max() == 1
    assert 0.45 < (strengths == 1).mean() < 0.55


def test_a_way_and_an_interpolation_are_drawn_by_a_coin():
    way = np.mean([module._either(1.0, np.random.default_rng(i)) for i in range(1000)])
    rotated = [OPERATIONS["Rotate"](PICTURE, 0.6, np.random.default_rng(i)).tobytes() for i in range(1000)]
    counts = [rotated.count(outcome) for outcome in set(rotated)]
    assert abs(way) < 4 / 1000**0.5
    assert len(counts) == 4
    assert max(abs(count - 250) for count in counts) < 4 * 14


def test_images_change_as_much_as_under_timms_transform(theirs):
    """The mean change of a pixel over 1,500 images, and how often it is nothing."""

    def changes(call):
        changed = [abs(np.asarray(call(i), dtype=float) - np.asarray(PICTURE, dtype=float)).mean() for i in range(1500)]
        return np.array(changed)

    state, numpys = random.getstate(), np.random.get_state()  # noqa: NPY002 (timm draws from both)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    expected = changes(lambda i: theirs(PICTURE))
    random.setstate(state)
    np.random.set_state(numpys)  # noqa: NPY002
    ours = changes(lambda i: randaugment(IMAGE, 6, draws("t", 0, i)).permute(1, 2, 0))
    error = (ours.var() / len(ours) + expected.var() / len(expected)) ** 0.5
    assert abs(ours.mean() - expected.mean()) < 4 * error
    assert abs((ours == 0).mean() - (expected == 0).mean()) < 4 * (2 * 0.25 * 0.75 / 1500) ** 0.5


def test_what_comes_back_is_an_image_like_the_one_given_which_stays():
    before, seen = IMAGE.clone(), set()
    for index in range(50):
        image = randaugment(IMAGE, 6, draws("t", 0, index))
        assert (image.dtype, image.shape, image.is_contiguous()) == (torch.uint8, IMAGE.shape, True)
        assert torch.equal(image, randaugment(IMAGE, 6, draws("t", 0, index)))
        seen.add(image.numpy().tobytes())
    assert torch.equal(IMAGE, before)
    assert len(seen) > 25
