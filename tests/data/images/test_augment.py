"""Crops and flips, and views as a whole."""

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from repro.data.images.augment import RATIO, TestView, TrainView, _part, padded_crop, random_resized_crop
from repro.data.images.draws import draws

IMAGE = torch.randint(256, (3, 40, 56), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize("crop", ["random-resized", "padded"])
@pytest.mark.parametrize("magnitude", [0, 6])
def test_a_view_is_a_function_of_seed_epoch_and_index_alone(crop, magnitude):
    view = TrainView(24, crop, flip=True, randaugment=magnitude)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 (neither of the process's generators has a part in it)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    once = [view(IMAGE, draws("augment", 5, 2, index)) for index in range(20)]
    again = [view(IMAGE, draws("augment", 5, 2, index)) for index in reversed(range(20))][::-1]
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    for other in ((6, 2, 3), (5, 3, 3), (5, 2, 4)):
        assert not torch.equal(view(IMAGE, draws("augment", *other)), once[3])
    assert {(image.dtype, tuple(image.shape)) for image in once} == {(torch.uint8, (3, 24, 24))}


def test_random_parts_have_the_areas_and_ratios_of_the_paper():
    rng = np.random.default_rng(0)
    parts = np.array([_part(300, 400, rng) for _ in range(2000)])
    top, left, height, width = parts.T
    area, ratio = height * width / (300 * 400), width / height
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 300).all()
    assert (left + width <= 400).all()
    # Rounding to whole pixels moves a side of 80 or more by half a pixel: less than 1 % of area and ratio.
    assert 0.99 * 0.08 < area.min() < 0.09
    assert 0.95 < area.max() <= 1
    assert 0.99 * RATIO[0] < ratio.min() < 0.77
    assert 1.3 < ratio.max() < 1.01 * RATIO[1]
    assert abs(np.log(ratio[area < 0.4]).mean()) < 0.03, "log-uniform: as often wide as tall, where both fit"


@pytest.mark.parametrize(("height", "width"), [(10, 400), (400, 10), (1, 1), (2, 500)])
def test_an_image_no_part_fits_in_gives_its_middle(height, width):
    rng = np.random.default_rng(0)
    for _ in range(50):
        top, left, h, w = _part(height, width, rng)
        assert 0 <= top <= height - h
        assert 0 <= left <= width - w
        assert min(h, w) > 0
    image = torch.zeros(3, height, width, dtype=torch.uint8)
    assert random_resized_crop(image, 8, rng).shape == (3, 8, 8)


@pytest.mark.parametrize("seed", range(8))  # parts both smaller and larger than the crop
def test_a_resized_crop_is_torchvisions_of_the_same_part(seed):
    part = _part(40, 56, np.random.default_rng(seed))
    ours = random_resized_crop(IMAGE, 24, np.random.default_rng(seed))
    assert torch.equal(ours, v2.functional.resized_crop(IMAGE, *part, [24, 24], antialias=True))


def test_at_random_half_of_the_crops_are_bicubic():
    cubic = 0
    for seed in range(200):
        part = _part(40, 56, np.random.default_rng(seed))
        ours = random_resized_crop(IMAGE, 24, np.random.default_rng(seed), "random")
        linear, other = (
            v2.functional.resized_crop(IMAGE, *part, [24, 24], mode, antialias=True)
            for mode in (v2.InterpolationMode.BILINEAR, v2.InterpolationMode.BICUBIC)
        )
        assert torch.equal(ours, linear) or torch.equal(ours, other)
        cubic += torch.equal(ours, other)
    assert 70 < cubic < 130  # 100 by chance, with a standard deviation of 7


def test_what_is_interpolated_at_random_is_tested_bicubically():
    mode = v2.InterpolationMode.BICUBIC
    expected = v2.Compose([v2.Resize(28, mode, antialias=True), v2.CenterCrop(24)])(IMAGE)
    assert torch.equal(TestView(24, 28, "random")(IMAGE), expected)
    for crop in ("padded", "none"):  # and brought to its size
        still = TrainView(24, crop, flip=False, randaugment=0, interpolation="random")
        seen = {still(IMAGE, draws("t", 0, i)).numpy().tobytes() for i in range(400)}
        assert TestView(24, 24, "random")(IMAGE).numpy().tobytes() in seen


def test_a_padded_crop_shifts_by_up_to_four_pixels_each_way():
    image = IMAGE[:, :32, :32].clamp(min=1)  # 0 is what comes in from outside
    padded = torch.nn.functional.pad(image, (4, 4, 4, 4))
    shifts = {(top, left): padded[:, top : top + 32, left : left + 32] for top in range(9) for left in range(9)}
    found = set()
    for number in range(800):
        view = padded_crop(image, 32, np.random.default_rng(number))
        found |= {shift for shift, expected in shifts.items() if torch.equal(view, expected)}
    assert found == set(shifts)


def test_a_padded_crop_of_another_size_brings_the_image_to_it_first():
    assert padded_crop(IMAGE, 32, np.random.default_rng(0)).shape == (3, 32, 32)


def test_without_a_crop_an_image_is_brought_to_its_size_and_not_moved():
    view = TrainView(32, "none", flip=False, randaugment=0)
    same, other = IMAGE[:, :32, :32], view(IMAGE, draws("t", 0, 0))
    assert torch.equal(view(same, draws("t", 0, 0)), same)
    assert torch.equal(other, TestView(32, 32)(IMAGE))
    assert all(torch.equal(view(IMAGE, draws("t", 0, index)), other) for index in range(9))


def test_half_of_the_views_are_flipped():
    image = IMAGE[:, :16, :16]
    view = TrainView(16, "padded", flip=True, randaugment=0)
    plain = TrainView(16, "padded", flip=False, randaugment=0)
    pairs = [(view(image, draws("t", 0, i)), plain(image, draws("t", 0, i))) for i in range(400)]
    flipped = sum(torch.equal(a, b.flip(-1)) for a, b in pairs)
    assert all(torch.equal(a, b) or torch.equal(a, b.flip(-1)) for a, b in pairs)
    assert 150 < flipped < 250  # 200 by chance, with a standard deviation of 10


@pytest.mark.parametrize("shape", [(40, 56), (56, 40), (28, 28), (20, 20)])
def test_the_test_view_is_torchvisions_resize_and_center_crop(shape):
    image = torch.randint(256, (3, *shape), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    expected = v2.Compose([v2.Resize(28, antialias=True), v2.CenterCrop(24)])(image)
    assert torch.equal(TestView(24, 28)(image), expected)
