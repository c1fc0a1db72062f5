"""Effective rank: known answers, what it does not depend on, and what has none."""

import pytest
import torch

from repro.analysis.spectrum import Spectrum, singular_values


def random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def rotation(n, seed):
    return torch.linalg.qr(random(n, n, seed=seed, dtype=torch.float64))[0]


@pytest.mark.parametrize("n", [1, 2, 8, 65])
def test_the_identity_uses_all_its_directions_alike(n):
    found = Spectrum.of(torch.eye(n))
    assert found == Spectrum(*(pytest.approx(x, rel=1e-12) for x in (n, n, n, 1)))


@pytest.mark.parametrize("shape", [(48, 200), (200, 48), (1, 9), (9, 1)])
def test_a_matrix_of_rank_one_uses_one(shape):
    """The Gram matrix rounds at 2e-16 of its largest eigenvalue, whose root in each other direction is 2e-8."""
    n = min(shape)
    found = Spectrum.of(random(shape[0], 1, dtype=torch.float64) @ random(1, shape[1], seed=1, dtype=torch.float64))
    assert 1 - 1e-12 <= found.effective_rank <= 1 + 2e-8 * 20 * n  # -p log p of p = 2e-8 is 20 p
    assert found.stable_rank == pytest.approx(1, rel=1e-12)
    assert found.participation_ratio == pytest.approx(1, rel=1e-12)


def test_eq_36_by_hand():
    """Shares of 1/2, 1/4 and 1/4: an entropy of 1.5 log 2."""
    found = Spectrum.of(torch.diag(torch.tensor([2.0, 4.0, 2.0])))
    assert found.effective_rank == pytest.approx(2**1.5, rel=1e-12)
    assert found.stable_rank == pytest.approx(24 / 16, rel=1e-12)
    assert found.participation_ratio == pytest.approx(24**2 / (2 * 16 + 256), rel=1e-12)
    assert found.largest == pytest.approx(4, rel=1e-12)


@pytest.mark.parametrize("power", [1, 2])
def test_a_falling_spectrum_has_the_rank_that_it_was_made_with(power):
    """Rounding to float32 adds 1e-8 of it to what the smallest singular values are, which are far above."""
    values = torch.arange(1, 65, dtype=torch.float64) ** -power
    made = (rotation(64, 1) * values) @ rotation(160, 2)[:64]
    assert Spectrum.of(made.float()).effective_rank == pytest.approx(
        Spectrum.from_values(values).effective_rank, rel=1e-6
    )


def test_neither_rotations_nor_transposition_change_anything():
    matrix = random(24, 56, dtype=torch.float64)
    turned = rotation(24, 1) @ matrix @ rotation(56, 2)
    ours, theirs = Spectrum.of(matrix), Spectrum.of(turned)
    assert vars(theirs) == pytest.approx(vars(ours), rel=1e-9)
    assert vars(Spectrum.of(matrix.T)) == pytest.approx(vars(ours), rel=1e-9)


@pytest.mark.parametrize("scale", [2.0**-140, 1e-20, 3.0, 2.0**120])
def test_ranks_do_not_depend_on_the_scale_even_where_squares_leave_float32(scale):
    matrix = random(16, 40)
    ours, theirs = Spectrum.of(matrix.double()), Spectrum.of(matrix.double() * scale)
    assert theirs.effective_rank == pytest.approx(ours.effective_rank, rel=1e-12)
    assert theirs.stable_rank == pytest.approx(ours.stable_rank, rel=1e-12)
    assert theirs.largest == pytest.approx(ours.largest * scale, rel=1e-12)


def test_it_is_what_a_decomposition_gives():
    matrix = random(33, 70)
    torch.testing.assert_close(
        singular_values(matrix[None])[0], torch.linalg.svdvals(matrix.double()), rtol=1e-12, atol=0
    )


def test_a_rank_lies_between_one_and_the_rank_of_the_matrix():
    found = Spectrum.of(random(40, 5, dtype=torch.float64) @ random(5, 90, seed=1, dtype=torch.float64))
    assert 1 < found.effective_rank < 5 + 1e-4
    assert found.participation_ratio <= 5
    assert found.stable_rank <= found.participation_ratio + 1e-9


def test_a_matrix_of_zeros_has_rank_zero():
    assert Spectrum.of(torch.zeros(3, 7)) == Spectrum(0, 0, 0, 0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_has_none(bad):
    matrix = torch.ones(4, 6)
    matrix[2, 3] = bad
    with pytest.raises(ValueError, match=r"^not finite$"):
        Spectrum.of(matrix)
    with pytest.raises(ValueError, match="matrix 2 of 3 is not finite"):
        singular_values(torch.stack([torch.ones(4, 6), matrix, matrix]))


def test_many_at_once_are_as_each_alone(monkeypatch):
    """In pieces of two, of five, as of those that are too large to be multiplied together."""
    every = torch.stack([random(12, 20, seed=seed) for seed in range(4)] + [torch.zeros(12, 20)])
    monkeypatch.setattr("repro.analysis.spectrum.AT_ONCE", 2 * 8 * 12 * 20)
    found = singular_values(every)
    assert found.shape == (5, 12)
    assert found.dtype == torch.float64
    for one, values in zip(every, found, strict=True):
        torch.testing.assert_close(values, singular_values(one[None])[0], rtol=1e-12, atol=0)


def test_what_is_measured_stays_as_it_was():
    matrix = random(6, 9, dtype=torch.float64)
    before = matrix.clone()
    Spectrum.of(matrix)
    assert torch.equal(matrix, before)
