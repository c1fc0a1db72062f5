"""Moments and histograms of numbers that come in parts."""

import math

import numpy as np
import pytest
import torch

from repro.analysis import values
from repro.analysis.values import BINS, Histogram, Moments

N = 200_000
CPU = torch.device("cpu")


def moments(x):
    return Moments.none(CPU).and_of(x)


def normal(seed=0, n=N):
    return torch.randn(n, generator=torch.Generator().manual_seed(seed))


# Bounds are four standard errors: of normal numbers sqrt(24 / n) = 0.011; of others seen over 40 seeds, 0.003 and 0.19.
@pytest.mark.parametrize(
    ("x", "expected", "within"),
    [
        (normal(), 3.0, 0.05),
        (torch.rand(N, generator=torch.Generator().manual_seed(0)), 1.8, 0.02),
        (-torch.rand(N, generator=torch.Generator().manual_seed(0)).log(), 9.0, 0.75),
        (torch.tensor([-1.0, 1.0]), 1.0, 1e-12),
        (torch.tensor([0.0] * 99 + [1.0]), 98.0101, 1e-3),
    ],
    ids=["normal", "uniform", "exponential", "signs", "spike"],
)
def test_kurtosis_of_known_distributions(x, expected, within):
    assert moments(x).kurtosis == pytest.approx(expected, abs=within)


def test_kurtosis_depends_on_neither_scale_nor_place():
    x = normal().double()
    assert moments(1e-20 * x).kurtosis == pytest.approx(moments(x).kurtosis, rel=1e-9)
    assert moments(x + 100).kurtosis == pytest.approx(moments(x).kurtosis, rel=1e-6)


def test_parts_add_up_to_the_whole(monkeypatch):
    x = normal() ** 3
    whole = moments(x)
    monkeypatch.setattr(values, "AT_A_TIME", 1000)
    parts = moments(x[:17]).and_of(x[17:].view(3, -1))
    assert parts.kurtosis == pytest.approx(whole.kurtosis, rel=1e-12)
    assert parts.rms == pytest.approx(x.double().square().mean().sqrt().item(), rel=1e-12)
    assert parts.deviation == pytest.approx(x.double().std(correction=0).item(), rel=1e-9)


def test_numbers_all_alike_have_no_kurtosis_and_none_have_no_mean():
    assert math.isnan(moments(torch.full((1000,), 0.1)).kurtosis)
    assert math.isnan(moments(torch.zeros(5)).kurtosis)
    assert math.isnan(moments(torch.zeros(0)).mean)


def test_what_is_not_finite_is_counted_apart():
    found = moments(torch.tensor([1.0, math.nan, math.inf, 3.0]))
    assert found.not_finite == 2
    assert found.mean == 2


def test_numbers_of_large_size_do_not_overflow():
    assert moments(torch.tensor([3e38, -3e38])).rms == pytest.approx(3e38, rel=1e-6)


# Histograms


def test_a_histogram_counts_every_number_once_however_far_it_has_to_reach():
    histogram = Histogram()
    parts = [normal(seed) * 10.0**seed for seed in range(4)]
    for part in parts:
        histogram.add(part)
    assert histogram.counts.sum() == 4 * N
    assert histogram.reach == 2 ** math.ceil(math.log2(max(part.abs().max() for part in parts)))
    edges = histogram.edges[:: BINS // 64]
    expected = np.histogram(torch.cat(parts).double().numpy(), edges)[0]
    found = histogram.counts.reshape(64, -1).sum(1)
    assert np.abs(found - expected).max() <= 2, "but for rounding at an edge"


def test_shares_and_quantiles_are_good_to_a_bin():
    histogram, x = Histogram(), normal()
    for part in x.split(30_000):
        histogram.add(part)
    width = 2 * histogram.reach / BINS
    assert histogram.beyond(-2, 2) == pytest.approx((x.abs() > 2).float().mean().item(), abs=2 * width)
    assert histogram.quantile(0.25) == pytest.approx(x.quantile(0.25).item(), abs=width)


def test_zeros_alone_and_what_is_not_finite_do_no_harm():
    histogram = Histogram()
    histogram.add(torch.zeros(10))
    histogram.add(torch.tensor([math.nan, math.inf, 3.0]))
    assert histogram.counts.sum() == 11
