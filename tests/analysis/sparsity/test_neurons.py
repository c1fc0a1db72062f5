"""Neurons and the constant part of their activation: taken off each, added once, and nothing is changed."""

import pytest
import torch
from torch import nn

from repro.activations import names
from repro.analysis.sites import sites, watching
from repro.analysis.sparsity.inputs import Given, Kept, feeding
from repro.analysis.sparsity.neurons import Layer, Neurons, rest
from repro.recipe.table import rows
from tests.analysis.decoders import decoder, tokens
from tests.analysis.sparsity.planted import drawn, learned, of_table, stream

EVERY = pytest.mark.parametrize("name", names())
WITH_A_CONSTANT = ["poly", "polyrelu", "polynorm", "polynorm_l2", "polyprelu", "polyrelunorm"]
GATED_WITH_A_CONSTANT = ["polyrelu_glu", "polynorm_glu"]


def whole_numbers(*shape, seed):
    return torch.randint(-4, 5, shape, generator=torch.Generator().manual_seed(seed)).double()


def exactly(module, *, gated):
    """Neurons whose weights and coefficients are small fractions of powers of two, so that float64 never rounds."""
    module.double().coeff.copy_(torch.tensor([0.25, 0.5, -0.25, 0.125]))
    first = tuple(whole_numbers(24, 8, seed=i) for i in range(1 + gated))
    return Neurons(first, whole_numbers(8, 24, seed=9), module)


def folded(neurons, x):
    """The output by ``h`` without its constant part, and what that adds: a bias, or a map of the stream."""
    inputs = tuple(x @ matrix.T for matrix in neurons.first)
    hidden = neurons.activation(*inputs) - rest(neurons.constant, inputs)
    if neurons.gated:
        return hidden @ neurons.down.T + x @ (neurons.constant * neurons.down @ neurons.first[1]).T
    return hidden @ neurons.down.T + neurons.constant * neurons.down.sum(1)


@pytest.mark.parametrize("name", ["poly", "polyrelu", "polyrelu_glu"])
def test_what_is_taken_off_and_added_once_is_exactly_what_was_there(name):
    neurons, x = exactly(learned(name), gated=rows()[name].gated), whole_numbers(50, 8, seed=5)
    assert neurons.constant == 0.25
    whole = neurons.activation(*(x @ matrix.T for matrix in neurons.first)) @ neurons.down.T
    assert torch.equal(folded(neurons, x), whole)


@EVERY
def test_folding_changes_no_output_beyond_rounding(name):
    neurons = of_table(name)
    neurons = Neurons(tuple(m.double() for m in neurons.first), neurons.down.double(), learned(name).double())
    x = stream(64, 16).double()
    inputs = tuple(x @ matrix.T for matrix in neurons.first)
    whole = neurons.activation(*inputs) @ neurons.down.T
    # Sums over 24 neurons of numbers below 100, a handful of roundings each; the row norm of 24 cubes in between.
    budget = 24 * 8 * torch.finfo(torch.float64).eps * max(1.0, float(neurons.activation(*inputs).abs().max()))
    assert (folded(neurons, x) - whole).abs().max() < budget


@EVERY
def test_a_gate_of_nothing_lets_through_a_multiple_of_what_is_behind_it(name):
    neurons, up = of_table(name), stream(8, 24)
    inputs = (torch.zeros_like(up), up)[: len(neurons.first)]
    assert torch.equal(neurons.activation(*inputs), rest(neurons.constant, inputs).expand_as(up))


@pytest.mark.parametrize("name", ["polyrelu", "polyrelunorm", "polyprelu_flat", "polyrelu_glu"])
def test_what_relu_makes_zero_is_zero_without_the_constant(name):
    module = learned(name.removesuffix("_flat"))
    if name == "polyprelu_flat":
        module.rho.weight.zero_()
    neurons, x = drawn(module, 16, 24, gated=rows()[name.removesuffix("_flat")].gated), stream(64, 16)
    off = x @ neurons.first[0].T <= 0
    assert neurons.constant != 0
    assert not neurons.hidden(x)[off].any()
    assert neurons.hidden(x)[~off].all()


@pytest.mark.parametrize("name", WITH_A_CONSTANT)
def test_the_constant_of_a_composition_is_its_first_coefficient(name):
    neurons = of_table(name, d_ff=16)
    assert neurons.constant == pytest.approx(neurons.activation.coeff[0].item() / (4 if name == "polynorm_l2" else 1))


@EVERY
def test_those_with_a_norm_over_neurons_need_all_of_them(name):
    assert of_table(name).mixes == name.startswith(("polynorm", "polyrelunorm"))


def test_a_length_is_a_value_times_that_of_its_column():
    neurons = Neurons((torch.eye(2),), torch.tensor([[3.0, 1.0], [4.0, 0.0]]), nn.ReLU())
    (lengths,) = neurons.magnitudes(torch.tensor([[2.0, -1.0], [0.5, 7.0]]))
    assert lengths.tolist() == [[10.0, 0.0], [2.5, 7.0]]


@pytest.mark.parametrize(
    ("activation", "family", "changes"),
    [
        ("polyrelu", "dense", {}),
        ("swiglu", "dense", {}),
        ("polynorm_glu", "dense", {}),
        ("swiglu", "moe", {}),
        ("polynorm", "moe", {}),
        ("polynorm", "moe", {"model.coefficients": "expert"}),
    ],
)
def test_neurons_make_of_what_an_ffn_is_given_what_it_makes_itself(activation, family, changes):
    network, seen, kept = decoder(activation, family, **changes), {}, Kept(1000)
    for parameter in (p for name, p in network.named_parameters() if name.endswith("coeff")):
        parameter += 0.1 * torch.arange(parameter.numel()).view_as(parameter)
    with feeding(network, kept.see), watching(network, lambda call: seen.update({call.site.name: call})):
        network(tokens())
    for site in sites(network):
        layer, given, call = Layer(site), kept.taken(site), seen[site.name]
        hidden = torch.cat([own.hidden(given.of(i)[0]) for i, own in enumerate(layer.neurons)])
        torch.testing.assert_close(hidden, (call.hidden - layer.rest(call)).float(), rtol=1e-5, atol=1e-6)
        lengths = torch.cat([part for i, own in enumerate(layer.neurons) for part in own.magnitudes(given.of(i)[0])])
        torch.testing.assert_close(lengths, layer.magnitudes(call), rtol=1e-5, atol=1e-6)


def test_rows_of_an_expert_come_with_the_numbers_of_their_tokens():
    given = Given(torch.arange(8.0).view(4, 2), torch.tensor([[0, 1], [2, 0], [1, 2], [2, 1]]))
    x, numbers = given.of(1)
    assert numbers.tolist() == [0, 2, 3]
    assert torch.equal(x, given.x[[0, 2, 3]])


def test_no_more_batches_are_kept_than_reach_the_limit():
    network, kept = decoder("relu"), Kept(20)
    with feeding(network, kept.see):
        for _ in range(3):
            network(tokens(windows=1))
    assert [len(kept.taken(site).x) for site in sites(network)] == [32, 32]
