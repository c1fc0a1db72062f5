"""Small networks that are trained at once: sizes, seeds, and that they learn."""

import math

import pytest
import torch

from repro.theory import learned, training
from repro.theory.ball import Member
from repro.theory.training import Shallow, errors, width

LINE = Member.sine(1, 1, frequency=1.0, phase=0.0)


@pytest.mark.parametrize("activation", learned.ACTIVATIONS)
@pytest.mark.parametrize("parameters", [120, 272, 652])
def test_networks_of_a_size_differ_by_less_than_half_a_neuron(activation, parameters):
    neuron = 5 if activation == "swiglu" else 3
    assert abs(training.count(Shallow(activation, width(activation, parameters))) - parameters) <= neuron / 2


@pytest.mark.parametrize("activation", learned.ACTIVATIONS)
def test_training_brings_the_error_down(activation):
    before, after = (errors(activation, 40, [LINE], seeds=(0, 1), rate=0.1, steps=steps)[0] for steps in (0, 150))
    assert max(after) < 0.5 * min(before)


def test_a_network_is_the_same_among_others():
    one = training.seeded("relu", 8, 1).state_dict()
    assert all(torch.equal(one[name], weight) for name, weight in training.seeded("relu", 8, 1).state_dict().items())
    wave = Member.sine(1, 1, frequency=2.0, phase=0.3)
    together = errors("relu", 25, [LINE, wave], seeds=(0, 1), rate=0.1, steps=20)
    assert errors("relu", 25, [wave], seeds=(1,), rate=0.1, steps=20)[0] == pytest.approx([together[1][1]], rel=1e-6)


def test_what_diverges_is_infinitely_wrong():
    assert errors("polyrelu", 25, [LINE], seeds=(0,), rate=1e200, steps=5) == [[math.inf]]
