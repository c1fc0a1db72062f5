"""Normalisation, targets, mixup and cutmix: what is done to a batch on its device."""

import pytest
import torch
from torch import tensor
from torchvision.transforms import v2

from repro.data.images.mixing import mix, normalise, targets

BATCH = torch.randint(256, (6, 3, 20, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
LABELS = tensor([0, 3, 1, 1, 4, 2])


def mixed(*, mixup=0.0, cutmix=0.0, step=0, seed=1, part=0, smoothing=0.0):
    images = normalise(BATCH)
    hot = targets(LABELS, 5, smoothing)
    return images, hot, *mix(images, hot, mixup=mixup, cutmix=cutmix, seed=seed, step=step, part=part)


def test_normalise_subtracts_the_mean_and_divides_by_the_deviation():
    """Those of ImageNet, as torchvision and timm print them."""
    standard = v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    expected = v2.Compose([v2.ToDtype(torch.float64, scale=True), standard])(BATCH)
    # values up to 2.7, computed in float32 in two roundings of terms up to 4.5
    torch.testing.assert_close(
        normalise(BATCH).double(), expected, rtol=0, atol=4 * torch.finfo(torch.float32).eps * 4.5
    )
    half = normalise(BATCH, torch.bfloat16)
    assert half.dtype == torch.bfloat16
    assert (half.double() - expected).abs().max() < 4 * torch.finfo(torch.bfloat16).eps * 4.5


@pytest.mark.parametrize("changes", [{"mixup": 0.2}, {"cutmix": 1.0}, {}])
def test_images_stay_channels_last(changes):
    assert normalise(BATCH).is_contiguous(memory_format=torch.channels_last)
    assert mixed(**changes)[2].is_contiguous(memory_format=torch.channels_last)


def test_targets_are_one_hot_or_smoothed():
    assert torch.equal(targets(LABELS, 5).argmax(1), LABELS)
    smooth = targets(LABELS, 5, 0.1)
    torch.testing.assert_close(smooth[1], tensor([0.02, 0.02, 0.02, 0.92, 0.02]))
    torch.testing.assert_close(smooth.sum(1), torch.ones(6))


@pytest.mark.parametrize("changes", [{"mixup": 0.2}, {"cutmix": 1.0}, {"mixup": 0.1, "cutmix": 1.0, "smoothing": 0.1}])
def test_mixed_targets_sum_to_one(changes):
    for step in range(20):
        soft = mixed(step=step, **changes)[3]
        torch.testing.assert_close(soft.sum(1), torch.ones(6))
        assert (soft >= 0).all()


def test_mixup_is_the_same_convex_combination_of_images_and_targets():
    shares = []
    for step in range(30):
        images, hot, both, soft = mixed(mixup=0.4, step=step)
        share = soft[0, 0].item()  # the first label is 0, the last one is 2
        shares.append(share)
        torch.testing.assert_close(both, share * images + (1 - share) * images.roll(1, 0))
        torch.testing.assert_close(soft, share * hot + (1 - share) * hot.roll(1, 0))
    assert min(shares) < 0.1
    assert max(shares) > 0.9


def test_cutmix_puts_a_rectangle_of_the_other_image_in_and_counts_its_pixels():
    areas = []
    for step in range(30):
        images, hot, both, soft = mixed(cutmix=1.0, step=step)
        own, other = (both == images).all(1), (both == images.roll(1, 0)).all(1)
        assert (own | other).all()
        cut = ~own.all(0)  # the same place in every image; some pixels may agree by chance in a few of them
        rows, columns = cut.any(1), cut.any(0)
        assert torch.equal(cut, rows[:, None] & columns), "a rectangle"
        share = 1 - cut.float().mean().item()
        torch.testing.assert_close(soft, share * hot + (1 - share) * hot.roll(1, 0))
        areas.append(1 - share)
    assert min(areas) < 0.1
    assert max(areas) > 0.5


def test_with_both_a_coin_decides_for_the_batch():
    cut = 0
    for step in range(100):
        images, _, both, _ = mixed(mixup=1.0, cutmix=1.0, step=step)
        cut += bool(((both == images) | (both == images.roll(1, 0))).all())
    assert 30 < cut < 70  # 50 by chance, with a standard deviation of 5


def test_a_mix_is_a_function_of_seed_step_and_part():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = mixed(mixup=0.4, step=7)[3]
    mixed(mixup=0.4, step=8)
    assert torch.equal(mixed(mixup=0.4, step=7)[3], first)
    assert torch.equal(torch.get_rng_state(), state)
    for other in ({"step": 8}, {"step": 7, "seed": 2}, {"step": 7, "part": 1}):
        assert not torch.equal(mixed(mixup=0.4, **other)[3], first)


def test_with_both_off_nothing_changes_and_with_one_on_the_input_stays():
    images, hot, both, soft = mixed()
    assert both is images
    assert soft is hot
    images, *_ = mixed(cutmix=1.0, step=3)
    assert torch.equal(images, normalise(BATCH))


def test_a_batch_of_one_is_mixed_with_itself():
    image, hot = normalise(BATCH[:1]), targets(LABELS[:1], 5)
    both, soft = mix(image, hot, mixup=0.2, cutmix=0.0, seed=0, step=0)
    torch.testing.assert_close(both, image)
    torch.testing.assert_close(soft, hot)
