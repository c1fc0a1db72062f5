"""Speeds, shares and ratios follow from the times."""

import pytest

from repro.bench import speeds
from repro.bench.cases import CASES
from repro.recipe import machine

GPU = machine("gpu")
DENSE, _, BARE, MOE, _, RESNET = CASES


def told(case, times, micro_batch):
    return {(reading.case, reading.unit): reading for reading in speeds.readings(case, times, micro_batch, GPU)}


def test_tokens_and_mfu_of_a_language_model():
    found = told(DENSE, {"dense-1b-swiglu": [400.0, 410.0, 500.0], "dense-1b-polynorm": [420.0] * 3}, 4)
    name = "dense-1b-swiglu, forward + backward"
    assert found[name, "ms"].value == 410.0
    assert found[name, "tokens/s"].value == pytest.approx(4 * 4096 / 0.410)
    assert found[name, "tokens/s"].rounds == 3
    # 6 x 1,279,787,008 weights and 6 x 24 x 2048 x 4096 for the scores, of 989 TFLOP/s
    flops = 6 * (24 * (4 * 2048**2 + 3 * 2048 * 5504) + 32_000 * 2048) + 6 * 24 * 2048 * 4096
    assert found[name, "% MFU"].value == pytest.approx(100 * flops * 4 * 4096 / 0.410 / 989e12)


def test_a_ratio_is_taken_round_by_round():
    times = {"resnet50-imagenet-relu": [100.0, 200.0, 100.0], "resnet50-imagenet-polynorm": [110.0, 240.0, 130.0]}
    found = told(RESNET, times, 256)
    assert found["resnet50-imagenet-polynorm over relu, training step", "times"].value == pytest.approx(1.2)
    assert found["resnet50-imagenet-relu, training step", "images/s"].value == 2560.0


def test_what_is_shared_out_is_told_in_multiples_of_the_bare_model():
    found = told(BARE, {"dense-1b-polynorm, bare": [400.0] * 3, "dense-1b-polynorm": [408.0] * 3}, 4)
    assert found["dense-1b-polynorm over bare, forward + backward", "times"].value == pytest.approx(1.02)
    assert found["dense-1b-polynorm, bare, forward + backward", "tokens/s"].value == 40960.0


def test_two_depths_make_a_line_in_every_round():
    assert speeds.extrapolated({2: [10.0, 20.0], 6: [30.0, 20.0]}, 16) == [80.0, 20.0]
    times = {"moe-1b7b-swiglu, 2 layers": [40.0] * 3, "moe-1b7b-swiglu, 6 layers": [100.0] * 3}
    found = told(MOE, times, 2)
    name = "moe-1b7b-swiglu, forward + backward, extrapolated from 2 and 6 layers"
    assert found[name, "ms"].value == 250.0  # 10 above, and 15 a layer
    assert found[name, "tokens/s"].value == pytest.approx(2 * 4096 / 0.250)
    assert found[name, "% MFU"].value == pytest.approx(100 * 7.88e9 * 2 * 4096 / 0.250 / 989e12, rel=1e-3)
    assert not [unit for case, unit in found if " layers," in case and unit != "ms"]
