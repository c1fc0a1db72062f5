"""Cosines between layers' states: known answers, and streaming against all at once."""

import numpy as np
import pytest
import torch

from repro.analysis.similarity import (
    Mean,
    Similarity,
    between_layers,
    by_distance,
    watching_states,
)
from tests.analysis.decoders import decoder, tokens

LAYERS, WINDOWS, TOKENS, WIDTH = 4, 6, 9, 8


def states(seed=0):
    return list(torch.randn(LAYERS, WINDOWS, TOKENS, WIDTH, generator=torch.Generator().manual_seed(seed)))


def cosines(of, skip=0, centred=False):
    """All at once, in float64."""
    h = torch.stack(of).double()[:, :, skip:].flatten(1, 2)
    h = h - h.mean(1, keepdim=True) if centred else h
    u = h / h.norm(dim=-1, keepdim=True)
    return torch.einsum("itd,jtd->ij", u, u).numpy() / h.shape[1]


def test_identical_layers_are_at_1_and_opposite_ones_at_minus_1():
    h = states()[0]
    found = Similarity()
    found.add([h, 3 * h, -h])
    np.testing.assert_allclose(found.matrix, [[1, 1, -1], [1, 1, -1], [-1, -1, 1]], atol=1e-6)


def test_orthogonal_layers_are_at_0():
    h = torch.zeros(3, 1, 5, 3)
    for layer in range(3):
        h[layer, ..., layer] = 1 + layer
    found = Similarity()
    found.add(list(h))
    np.testing.assert_array_equal(found.matrix, np.eye(3))


def test_a_planted_angle_is_found():
    angle = torch.linspace(0, 3, WINDOWS * TOKENS).view(WINDOWS, TOKENS)
    first = torch.stack([torch.ones_like(angle), torch.zeros_like(angle)], -1)
    second = 7 * torch.stack([angle.cos(), angle.sin()], -1)
    found = Similarity()
    found.add([first, second])
    assert found.matrix[0, 1] == pytest.approx(angle.double().cos().mean().item(), abs=1e-7)


@pytest.mark.parametrize("skip", [0, 2])
def test_batches_add_up_to_the_whole_at_once(skip):
    whole = states()
    found = Similarity(skip=skip)
    for start, end in ((0, 1), (1, 4), (4, 6)):
        found.add([h[start:end] for h in whole])
    np.testing.assert_allclose(found.matrix, cosines(whole, skip), atol=1e-7)
    assert found.tokens == [TOKENS - skip] * WINDOWS


@pytest.mark.parametrize("skip", [0, 2])
def test_the_centred_one_is_that_of_states_less_their_mean(skip):
    whole = [h + 5 for h in states()]
    mean = Mean(skip=skip)
    for h in (slice(0, 2), slice(2, 6)):
        mean.add([own[h] for own in whole])
    found = Similarity(skip=skip, centre=mean.mean)
    found.add(whole)
    np.testing.assert_allclose(found.matrix, cosines(whole, skip, centred=True), atol=1e-6)
    assert abs(found.matrix[0, 1]) < 0.2 < 0.9 < cosines(whole, skip)[0, 1], "what all tokens share is off"


def test_windows_weigh_by_their_tokens_and_add_up():
    found = Similarity()
    found.add(states())
    sums, counts = found.each(between_layers), np.array(found.tokens)
    assert sums.sum() / counts.sum() == pytest.approx(between_layers(found.matrix))


def test_a_state_of_zeros_is_like_nothing_and_never_nan():
    h = states()[0]
    found = Similarity()
    found.add([h, torch.zeros_like(h)])
    np.testing.assert_allclose(found.matrix, [[1, 0], [0, 0]], atol=1e-6)


def test_means_by_distance_are_those_of_diagonals():
    matrix = np.array([[1, 0.5, 0.1], [0.5, 1, 0.3], [0.1, 0.3, 1]])
    np.testing.assert_allclose(by_distance(matrix), [0.4, 0.1])
    assert between_layers(matrix) == pytest.approx(0.3)


# States of a decoder


@pytest.mark.parametrize("family", ["dense", "moe"])
def test_the_stream_is_the_embedding_and_what_blocks_add_to_it(family):
    network, seen = decoder(family=family), []
    with watching_states(network, seen.append):
        network(tokens())
    (states,) = seen
    assert len(states.stream) == 3
    torch.testing.assert_close(states.stream[0], network.embed_tokens(tokens()))
    for before, after, added in zip(states.stream[:-1], states.stream[1:], states.outputs, strict=True):
        torch.testing.assert_close(after - before, added, atol=1e-5, rtol=1e-5)
    hidden, _ = network.hidden(tokens())
    torch.testing.assert_close(network.norm(states.stream[-1]), hidden, msg="final, before the norm")


def test_each_pass_is_seen_once_and_nothing_stays_hooked():
    network, seen = decoder(), []
    with watching_states(network, seen.append):
        network(tokens(2))
        network(tokens(1))
    network(tokens(1))
    assert [len(states.stream[0]) for states in seen] == [2, 1]
    assert not any(module._forward_hooks for module in network.modules())
