"""The learning rate of section 4.1: a linear warm-up, then half a cosine from 3e-4 to 1.5e-5."""

import pytest

from repro.recipe import load
from repro.training import text
from repro.training.schedule import cosine_with_warmup

PEAK, FLOOR = 3e-4, 1.5e-5


@pytest.fixture
def rate():
    fraction = cosine_with_warmup(warmup=10, total=110, floor=FLOOR / PEAK)
    return lambda step: PEAK * fraction(step)


def test_rises_in_equal_steps_and_the_first_one_moves(rate):
    assert [rate(step) for step in range(10)] == pytest.approx([PEAK * (step + 1) / 10 for step in range(10)])


def test_reaches_the_peak_at_the_end_of_the_warm_up(rate):
    assert rate(9) == rate(10) == PEAK


def test_is_halfway_at_half_time(rate):
    assert rate(60) == pytest.approx((PEAK + FLOOR) / 2)


def test_ends_at_the_papers_floor_and_stays(rate):
    assert rate(110) == rate(1000) == pytest.approx(FLOOR)


def test_without_warm_up_starts_at_the_peak():
    assert cosine_with_warmup(warmup=0, total=10, floor=0.05)(0) == 1


def test_the_papers_mixture_ends_long_before_its_cosine():
    module = text.module(load("moe-1b7b-polynorm"))
    assert (module.warmup_steps, module.total_steps) == (2_500, 1_192_093)
    fraction = cosine_with_warmup(warmup=module.warmup_steps, total=module.total_steps, floor=0.1)
    assert fraction(load("moe-1b7b-polynorm").steps) == pytest.approx(0.997, abs=5e-4)
