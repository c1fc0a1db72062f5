"""The law of Marchenko and Pastur: against what it is known to give, and against random matrices."""

import math

import numpy as np
import pytest
import torch

from repro.analysis import random_matrices
from repro.analysis.spectrum import Spectrum, singular_values

SHAPES = [(64, 176), (64, 264), (264, 64), (96, 96), (128, 1024), (16, 27)]


def draws(shape, number=8):
    return torch.randn(number, *shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", SHAPES)
def test_random_matrices_have_the_ranks_that_it_gives(shape):
    """Sums over all eigenvalues scatter by O(1/n) of themselves; over 20 draws of six shapes by at most 0.7/n."""
    for matrix in draws(shape):
        found = Spectrum.of(matrix).effective_rank / random_matrices.effective_rank(*shape)
        assert found == pytest.approx(1, abs=1 / min(shape))


@pytest.mark.parametrize("shape", SHAPES)
def test_random_matrices_have_the_singular_values_that_it_gives(shape):
    """The outermost scatter most, by n^(-2/3): seen over eight draws of six shapes, by at most 0.45 of that."""
    values = singular_values(draws(shape)).mean(0)
    ours = (values / values.square().mean().sqrt()).numpy()
    np.testing.assert_allclose(random_matrices.singular_values(*shape), ours, atol=0.7 / min(shape) ** (2 / 3))


@pytest.mark.parametrize(
    ("shape", "share"),
    [((2048, 5504), 0.9476), ((2048, 8256), 0.9665), ((1024, 2048), 0.9261), ((1536, 2048), 0.8760)],
)
def test_shapes_of_the_paper_begin_at_ranks_of_their_own(shape, share):
    """A gated FFN and a plain one of as many parameters: why raw ranks are not compared."""
    assert random_matrices.effective_rank(*shape) / min(shape) == pytest.approx(share, abs=5e-5)
    assert random_matrices.effective_rank(*shape) == random_matrices.effective_rank(*shape[::-1])


def test_of_a_square_it_is_the_quarter_circle():
    """Singular values of density sqrt(4 - s^2) / pi: E[s] = 8 / (3 pi) and E[s log s] by integration."""
    s = (np.arange(2_000_000) + 0.5) / 1_000_000
    density = np.sqrt(4 - s**2) / math.pi
    mean, logs = 8 / (3 * math.pi), np.mean(density * s * np.log(s)) * 2
    expected = 100 * mean * math.exp(-logs / mean)
    assert random_matrices.effective_rank(100, 100) == pytest.approx(expected, rel=1e-7)


def test_the_longer_one_side_the_more_alike_are_the_directions():
    shares = [random_matrices.effective_rank(100, columns) / 100 for columns in (100, 200, 400, 10_000)]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("shape", [(64, 176), (50, 50), (7, 9)])
def test_singular_values_fall_and_their_mean_square_is_one(shape):
    found = random_matrices.singular_values(*shape)
    assert found.shape == (min(shape),)
    assert (np.diff(found) < 0).all()
    assert np.mean(found**2) == pytest.approx(1, abs=2 / min(shape) ** 2)
