"""Small networks that are trained: sizes, choice of the learning rate, and that they learn."""

import json
import math

import pytest
import torch

from repro.errors import CheckFailed
from repro.theory import learned
from repro.theory.ball import Member
from repro.theory.learned import Shallow, Trained, kept, train, width
from repro.theory.page import as_json
from repro.theory.spread import Spread

LINE = Member.sine(1, 1, frequency=1.0, phase=0.0)


@pytest.mark.parametrize("activation", learned.ACTIVATIONS)
@pytest.mark.parametrize("parameters", [120, 272, 652])
def test_networks_of_a_size_differ_by_less_than_half_a_neuron(activation, parameters):
    network = Shallow(activation, width(activation, parameters))
    neuron = 5 if activation == "swiglu" else 3
    assert abs(sum(weight.numel() for weight in network.parameters()) - parameters) <= neuron / 2


def test_a_seed_takes_the_rate_that_is_best_for_the_others():
    errors = torch.tensor([[1.0, 5.0, 5.0], [2.0, 2.0, 2.0]])
    assert kept(errors) == (2.0, 2.0, 2.0)
    errors = torch.tensor([[1.0, 1.0, 9.0], [2.0, 2.0, 2.0]])
    assert kept(errors) == (2.0, 2.0, 9.0)  # the last one's own misfortune is not known to it


def test_a_rate_that_diverges_is_not_taken():
    assert kept(torch.tensor([[math.nan, math.inf, 1.0], [2.0, 2.0, 2.0]])) == (2.0, 2.0, 2.0)


def test_a_network_that_diverges_at_every_rate_is_told():
    with pytest.raises(CheckFailed, match="relu with 12 parameters did not stay finite"):
        learned.finite((1.0, math.inf), "relu", 12)


@pytest.mark.parametrize("activation", learned.ACTIVATIONS)
def test_training_brings_the_error_down(activation):
    before = train(activation, 40, LINE, seeds=2, steps=0)
    after = train(activation, 40, LINE, seeds=2, steps=150)
    assert len(after.errors) == 2
    assert max(after.errors) < 0.5 * min(before.errors)


def test_a_seed_gives_the_same_network_among_others():
    two, three = (train("relu", 25, LINE, seeds=seeds, steps=20) for seeds in (2, 3))
    alone = [learned._seeded("relu", 8, 1).state_dict() for _ in range(2)]
    assert all(torch.equal(alone[0][name], alone[1][name]) for name in alone[0])
    assert two.parameters == three.parameters == 25


def test_a_spread_has_the_median_and_the_ends():
    line = Spread.of("relu", (10, 100), [(3.0, 1.0, 2.0), (0.3, 0.2, 0.1)])
    assert (line.y, line.low, line.high) == ((2.0, 0.2), (1.0, 0.1), (3.0, 0.3))
    assert line.slope == pytest.approx(-1)


def test_what_trains_at_the_rate_of_what_is_built_holds():
    built = {100: 1e-2, 1000: 1e-4}
    fast = {"relu": [Trained(100, (1e-2, 2e-2)), Trained(1000, (1e-4, 2e-4))]}
    slow = {"relu": [Trained(100, (1e-2, 2e-2)), Trained(1000, (5e-3, 8e-3))]}
    assert learned._finding(built, fast, 2).holds
    finding = learned._finding(built, slow, 2)
    assert not finding.holds
    assert "theory -2" in finding.measured
    assert json.loads(as_json([finding], {}))["findings"][0]["curves"][1]["high"] == [2e-2, 8e-3]
