"""One token through an FFN whose weights are read in part: the same sum, and as many weights as counted by hand."""

import math

import pytest
import torch

from repro.activations import names
from repro.analysis.sparsity.cost import Shape
from repro.analysis.sparsity.gathering import ROUNDS, WARM_UP, Gathering, timed
from repro.analysis.sparsity.predictor import Predictor
from repro.analysis.sparsity.telling import active
from tests.analysis.sparsity.planted import of_table, output, stream

EVERY = pytest.mark.parametrize("name", names())
CLOSE = {"rtol": 1e-4, "atol": 1e-5}  # sums of two dozen products in float32, in another order


def without(neurons, x, on):
    """The output less what the neurons give that are not ``on``."""
    return output(neurons, x) - torch.where(on, 0, neurons.hidden(x)) @ neurons.columns


@EVERY
def test_named_neurons_are_summed_and_the_constant_part_of_all(name):
    neurons, x = of_table(name), stream(1, 16)
    gathering, on = Gathering(neurons), torch.arange(24)[None] % 3 == 1
    torch.testing.assert_close(gathering.dense(x), output(neurons, x), **CLOSE)
    torch.testing.assert_close(gathering.named(x, on[0].nonzero()[:, 0]), without(neurons, x, on), **CLOSE)


@EVERY
def test_what_the_first_matrix_tells_is_summed(name):
    neurons, x = of_table(name), stream(1, 16)
    gathering = Gathering(neurons)
    torch.testing.assert_close(gathering.computed(x, -1.0), output(neurons, x), **CLOSE)
    if not neurons.gated:
        threshold = float(torch.cat(list(neurons.magnitudes(x))).median())
        expected = without(neurons, x, active(neurons, x, threshold))
        torch.testing.assert_close(gathering.computed(x, threshold), expected, **CLOSE)


@pytest.mark.parametrize("name", ["relu", "polynorm", "polyrelu_glu", "polynorm_glu"])
@pytest.mark.parametrize("threshold", [-math.inf, math.inf])
def test_a_predictor_names_all_or_nobody(name, threshold):
    neurons, x = of_table(name), stream(1, 16)
    predictor = Predictor(torch.zeros(2, 16), torch.zeros(24, 2), torch.zeros(24), threshold)
    on = torch.full((1, 24), threshold < 0)
    torch.testing.assert_close(Gathering(neurons).predicted(x, predictor), without(neurons, x, on), **CLOSE)


# d_model 10, d_ff 40, 5 of them active, and a predictor of rank 2: 2 x (10 + 40) + 40 weights.
@pytest.mark.parametrize(
    ("kind", "dense", "known", "computed", "predicted"),
    [
        ({}, 800, 100, 450, 240),
        ({"mixes": True}, 800, 450, 450, 590),
        ({"constant": True}, 800, 110, 460, 250),
        ({"gated": True}, 1200, 150, 500, 290),
        ({"gated": True, "mixes": True}, 1200, 500, 500, 640),
        ({"gated": True, "constant": True}, 1200, 250, 600, 390),
        ({"gated": True, "experts": 3}, 3600, 450, 1500, 870),
    ],
)
def test_weights_are_counted_as_by_hand(kind, dense, known, computed, predicted):
    shape = Shape(10, 40, **{"gated": False, "mixes": False, "constant": False, "rank": 2} | kind)
    counted = [shape.weights(way, 5) for way in ("dense", "known", "computed", "predicted")]
    assert counted == [dense, known, computed, predicted]


def test_ways_take_turns_layer_by_layer():
    calls = []

    def turn(layer, way):
        return lambda number: calls.append((number, way, layer))

    layers = [{way: turn(layer, way) for way in ("dense", "known")} for layer in (0, 1)]
    found = timed(layers, torch.device("cpu"))
    assert calls[:4] == [(0, "dense", 0), (0, "dense", 1), (0, "known", 0), (0, "known", 1)]
    assert len(calls) == 4 * (ROUNDS + WARM_UP)
    assert all(0 < one.low <= one.median <= one.high for layer in found for one in layer.values())
