"""Linear CKA: rotations, independence, and the unbiased estimate against its formula."""

import numpy as np
import pytest
import torch

from repro.analysis.cka import CKA, FEWEST, MINIBATCH


def features(n, width, seed):
    return torch.randn(n, 1, width, generator=torch.Generator().manual_seed(seed))


def cka(first, second):
    found = CKA()
    found.add([first], [second])
    return found.matrix[0, 0]


def hsic(x, y):
    """The unbiased estimate to the letter (Song et al., 2012)."""
    n = len(x)
    k, m = (own @ own.T for own in (x, y))
    k, m = (own - np.diag(own.diagonal()) for own in (k, m))
    one = np.ones(n)
    whole = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return (np.trace(k @ m) + whole - 2 / (n - 2) * one @ k @ m @ one) / (n * (n - 3))


def test_a_rotated_scaled_and_moved_copy_is_at_1():
    x = features(200, 12, 0)
    rotation = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(1)))[0]
    assert cka(x, 3 * x @ rotation + 5) == pytest.approx(1, abs=1e-5)


def test_independent_features_are_near_0_also_where_they_are_wider_than_tokens():
    found = [cka(features(100, 400, seed), features(100, 400, 1000 + seed)) for seed in range(20)]
    # The covariance of independent U-statistics has mean 0; each draw here was seen to be 0.01 off.
    assert abs(np.mean(found)) < 0.01
    assert np.std(found) < 0.03
    biased = []
    for seed in range(3):
        x, y = (features(100, 400, own)[:, 0] for own in (seed, 1000 + seed))
        x, y = x - x.mean(0), y - y.mean(0)
        biased.append(((x.T @ y).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm())).item())
    assert min(biased) > 0.7, "which is why it is not the biased one"


def test_it_is_the_formula():
    x, y = features(40, 7, 0)[:, 0].double(), features(40, 5, 1)[:, 0].double() ** 2
    y[:, :3] += x[:, :3]
    expected = hsic(x.numpy(), y.numpy()) / np.sqrt(hsic(x.numpy(), x.numpy()) * hsic(y.numpy(), y.numpy()))
    assert cka(x[:, None], y[:, None]) == pytest.approx(expected, rel=1e-9)


def test_minibatches_of_batches_are_summed_before_they_are_divided():
    x, y = features(4 * MINIBATCH, 6, 0), features(4 * MINIBATCH, 6, 1)
    y[..., :3] = x[..., :3]
    found = CKA()
    for half in (slice(0, 2 * MINIBATCH), slice(2 * MINIBATCH, None)):
        found.add([x[half]], [y[half]])
    halves = slice(0, 2 * MINIBATCH), slice(2 * MINIBATCH, None)
    parts = [[own[half][start::2, 0].double().numpy() for own in (x, y)] for half in halves for start in (0, 1)]
    sums = np.sum([[hsic(p, q), hsic(p, p), hsic(q, q)] for p, q in parts], axis=0)
    assert found.matrix[0, 0] == pytest.approx(sums[0] / np.sqrt(sums[1] * sums[2]), rel=1e-9)


def test_layers_of_one_model_are_compared_with_each_other():
    x, y = features(60, 6, 0), features(60, 6, 1)
    found = CKA()
    found.add([x, y, 2 * x])
    np.testing.assert_allclose(found.matrix.diagonal(), 1)
    np.testing.assert_allclose(found.matrix, found.matrix.T)
    assert found.matrix[0, 2] == pytest.approx(1)
    assert found.matrix[0, 1] == pytest.approx(cka(x, y))


def test_states_that_are_all_alike_have_none_and_too_few_tokens_add_nothing():
    x = features(60, 6, 0)
    assert np.isnan(cka(x, torch.ones_like(x)))
    found = CKA()
    found.add([x])
    before = found.matrix
    found.add([x[: FEWEST - 1]])
    np.testing.assert_array_equal(found.matrix, before)


def test_first_tokens_of_windows_are_left_out():
    x = torch.randn(20, 8, 6, generator=torch.Generator().manual_seed(0))
    y = x.clone()
    y[:, :2] = 1000 * torch.randn(20, 2, 6, generator=torch.Generator().manual_seed(1))
    without, whole = CKA(skip=2), CKA()
    without.add([x], [y])
    whole.add([x], [y])
    assert without.matrix[0, 0] == pytest.approx(1)
    assert whole.matrix[0, 0] < 0.5, "a few large states decide"
