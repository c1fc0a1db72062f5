"""Neurons left out of a network: none is to the bit what it was, and those that are are missing and no others."""

import math

import pytest
import torch

from repro.analysis.sites import sites
from repro.analysis.sparsity.effects import Effect
from repro.analysis.sparsity.inputs import Kept, feeding
from repro.analysis.sparsity.neurons import Layer
from repro.analysis.sparsity.predictor import Predictor
from repro.analysis.sparsity.skipping import predicted, shorter, skipping
from tests.analysis.decoders import decoder, tokens
from tests.analysis.sparsity.planted import output

ARMS = pytest.mark.parametrize(
    ("activation", "family"),
    [("relu", "dense"), ("polynorm", "dense"), ("swiglu", "dense"), ("polyrelu_glu", "dense"), ("swiglu", "moe")],
)


def trained_a_little(activation, family="dense"):
    network = decoder(activation, family)
    for parameter in (p for name, p in network.named_parameters() if name.endswith("coeff")):
        parameter += 0.3
    return network


def limits(network, threshold):
    return shorter({site.name: threshold for site in sites(network)})


@ARMS
def test_with_nobody_left_out_nothing_changes_to_the_bit(activation, family):
    network, ids = trained_a_little(activation, family), tokens()
    before = network(ids)
    with skipping(network, limits(network, -1.0)) as counted:
        assert torch.equal(network(ids), before)
    assert counted.sparsity == 0
    assert torch.equal(network(ids), before)


@pytest.mark.parametrize("activation", ["relu", "polyrelu", "polyrelu_glu", "reglu"])
def test_neurons_that_give_nothing_are_not_missed(activation):
    network, ids = trained_a_little(activation), tokens()
    before = network(ids)
    with skipping(network, limits(network, 0.0)) as counted:
        assert torch.equal(network(ids), before)
    assert counted.sparsity == pytest.approx(0.5, abs=0.1)


@ARMS
def test_with_all_left_out_the_constant_part_is_left(activation, family):
    network, ids, outputs = trained_a_little(activation, family), tokens(), []
    site = sites(network)[0]
    kept = Kept(1000)
    handle = site.ffn.register_forward_hook(lambda module, given, y: outputs.append(y.flatten(0, -2)))
    with feeding(network, kept.see), skipping(network, limits(network, math.inf)) as counted:
        network(ids)
    handle.remove()
    layer, given = Layer(site), kept.taken(site)
    expected = [
        output(own, x) - own.hidden(x) @ own.columns
        for number, own in enumerate(layer.neurons)
        for x in [given.of(number)[0]]
    ]
    torch.testing.assert_close(outputs[0], torch.cat(expected), rtol=1e-4, atol=1e-5)
    assert counted.shares == {site.name: 1.0 for site in sites(network)}


def test_only_the_neurons_below_the_threshold_are_missing():
    network, ids, outputs, kept = trained_a_little("polyrelu"), tokens(), [], Kept(1000)
    site = sites(network)[0]
    with feeding(network, kept.see):
        network(ids)
    (own,), x = Layer(site).neurons, kept.taken(site).x
    (lengths,) = own.magnitudes(x)
    threshold = float(lengths.median())
    handle = site.ffn.register_forward_hook(lambda module, given, y: outputs.append(y.flatten(0, -2)))
    with skipping(network, limits(network, threshold)) as counted:
        network(ids)
    handle.remove()
    missing = torch.where(lengths <= threshold, own.hidden(x), 0) @ own.columns
    torch.testing.assert_close(outputs[0], output(own, x) - missing, rtol=1e-4, atol=1e-5)
    assert counted.shares[site.name] == pytest.approx(float((lengths <= threshold).double().mean()))


@pytest.mark.parametrize(("threshold", "share"), [(-math.inf, 0.0), (math.inf, 1.0)])
def test_a_predictor_says_who_is_left_out(threshold, share):
    network, ids = trained_a_little("polynorm"), tokens()
    sure = Predictor(torch.zeros(2, 16), torch.zeros(48, 2), torch.zeros(48), threshold)
    before = network(ids)
    with predicted(network, {site.name: sure for site in sites(network)}) as counted:
        assert torch.equal(network(ids), before) == (not share)
    assert counted.sparsity == share


def test_a_predictor_reads_what_its_ffn_is_given():
    network, given = trained_a_little("relu"), Kept(1000)
    predictors = {}
    ids = tokens()
    with feeding(network, given.see):
        network(ids)
    first = sites(network)[0]
    x, up = given.taken(first).x, first.ffn.up_proj.weight
    # Pre-activations themselves, whose ReLU is above 0 where the neuron's is: who gives nothing is left out.
    for site in sites(network):
        predictors[site.name] = Predictor(site.ffn.up_proj.weight, torch.eye(48), torch.zeros(48), 0.0)
    before = network(ids)
    with predicted(network, predictors) as counted:
        assert torch.equal(network(ids), before)
    assert counted.shares[first.name] == pytest.approx(float((x @ up.T <= 0).double().mean()))


def test_an_interval_is_over_windows():
    whole, losses = torch.zeros(8), torch.tensor([1.0, 3.0, 2.0, 2.0, 0.0, 2.0, 4.0, 4.0])
    effect = Effect.of(losses, whole, context=2, sparsity=0.5)
    # Windows lose 2, 2, 1 and 4: mean 2.25, standard deviation sqrt(19 / 12), and Student's t for three degrees 3.1824.
    assert (effect.loss, effect.increase, effect.windows) == (2.25, 2.25, 4)
    assert effect.high - effect.increase == pytest.approx(3.18245 * (19 / 12) ** 0.5 / 2, rel=1e-5)
    assert effect.low + effect.high == pytest.approx(4.5)


def test_one_window_has_no_interval():
    effect = Effect.of(torch.ones(4), torch.zeros(4), context=4, sparsity=0.5)
    assert (effect.increase, effect.low, effect.high) == (1.0, None, None)
