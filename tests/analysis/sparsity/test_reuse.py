"""Reuse between neighbours, against sets counted by hand."""

import pytest
import torch

from repro.analysis.sparsity.inputs import Given
from repro.analysis.sparsity.reuse import Reuse
from tests.analysis.sparsity.planted import one_hot


def on(neurons, x):
    return x > 0


NEURONS = one_hot(torch.eye(4).tolist())


def of(tokens, *, context, chosen=None, neurons=(NEURONS,)):
    return Reuse.of(list(neurons), Given(torch.tensor(tokens, dtype=torch.float32), chosen), on, context=context)


def test_neighbours_share_what_both_have():
    found = of([[1, 1, 0, 0], [0, 1, 1, 0], [0, 1, 0, 0]], context=3)
    assert found.share == (1 / 2 + 1) / 2
    assert found.active == pytest.approx(5 / 3)


def test_the_first_token_of_a_window_has_no_neighbour():
    found = of([[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]], context=2)
    assert found.share == (1 + 0) / 2


def test_tokens_without_active_neurons_are_not_counted():
    assert of([[1, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]], context=3).share == 0
    nothing = of([[0, 0, 0, 0], [0, 0, 0, 0]], context=2)
    assert (nothing.share, nothing.by_chance, nothing.active) == (None, None, 0)


def test_chance_knows_that_some_neurons_are_always_active():
    found = of([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0]], context=4)
    # How often each is active: always, 1/4, 1/4. Of the three tokens that have one before them, one has two neurons.
    assert found.by_chance == pytest.approx(((1 + 1 / 4) / 2 + 1 + 1) / 3)


def test_independent_tokens_share_what_chance_says():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.rand(4000, 4, generator=generator) < torch.tensor([1.0, 0.5, 0.1, 0.0])
    found = of(tokens.tolist(), context=4000)
    assert found.share == pytest.approx(found.by_chance, abs=4 * 0.5 / 4000**0.5)  # no share deviates by above 0.5


def test_an_interval_is_over_windows():
    found = of([[1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0]], context=2)
    # Windows share 1/2 and 1: a standard deviation of sqrt(1/8), and Student's t for one degree is 12.706.
    assert found.high - found.share == pytest.approx(12.7062 * (1 / 8) ** 0.5 / 2**0.5, rel=1e-5)
    assert of([[1, 1, 0, 0], [0, 1, 1, 0]], context=2).low is None


def test_neurons_of_experts_are_shared_only_within_an_expert():
    # Tokens go to experts 0 and 1, 0 and 1, then 1 and 2; the same neurons each time.
    chosen = torch.tensor([[0, 1], [1, 0], [1, 2]])
    found = of([[1, 1, 0, 0]] * 3, context=3, chosen=chosen, neurons=[NEURONS] * 3)
    assert found.share == (1 + 1 / 2) / 2
    assert found.active == 4
