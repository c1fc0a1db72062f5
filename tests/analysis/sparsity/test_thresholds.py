"""Thresholds: planted sparsity is found exactly, and of several crossings the last one is."""

import pytest
import torch

from repro import activations
from repro.analysis.sparsity.neurons import Neurons, rest
from repro.analysis.sparsity.thresholds import Curve, cett, quantiles
from repro.recipe.table import rows
from tests.analysis.sparsity.planted import drawn, of_table, one_hot, stream

TAUS = (0.05, 0.1, 0.2, 0.3)

# Of 128 tokens through random FFNs, as a prototype found them: exact zeros, and inactive neurons at TAUS.
FOUND = {
    "relu": (0.50, 0.583, 0.632, 0.706, 0.768),
    "relu2": (0.50, 0.711, 0.771, 0.842, 0.889),
    "polyrelu": (0.50, 0.708, 0.783, 0.866, 0.913),
    "gelu": (0, 0.254, 0.438, 0.709, 0.788),
    "swiglu": (0, 0.366, 0.518, 0.706, 0.820),
    "reglu": (0.50, 0.659, 0.724, 0.807, 0.863),
    "polynorm": (0, 0.280, 0.447, 0.676, 0.802),
    "xielu": (0, 0.361, 0.649, 0.788, 0.851),
    "polynorm_glu": (0, 0.456, 0.623, 0.796, 0.884),
}
# Over eight draws a share varied with a standard deviation of at most 0.005, so that the difference of two has 0.007.
SAMPLING = 0.02


def shares(neurons, x):
    curve, (lengths,) = Curve.of([(neurons, x)]), neurons.magnitudes(x)
    return [float((lengths <= threshold).double().mean()) for threshold in (0.0, *map(curve.largest, TAUS))]


@pytest.mark.parametrize("name", FOUND)
def test_random_ffns_are_as_sparse_as_a_prototype_found_them(name):
    gated = rows()[name].gated
    activation = activations.build(name).requires_grad_(False)
    neurons = drawn(activation, d_ff=344 if gated else 516, gated=gated)
    assert shares(neurons, stream()) == pytest.approx(FOUND[name], abs=SAMPLING)


@pytest.mark.parametrize(("name", "a_0"), [("polyrelu", 0.05), ("polynorm", -0.2)])
def test_a_constant_term_hides_no_sparsity(name, a_0):
    with_constant = activations.build(name).requires_grad_(False)
    with_constant.coeff[0] = a_0
    assert shares(drawn(with_constant), stream()) == pytest.approx(FOUND[name], abs=SAMPLING)


@pytest.mark.parametrize("name", ["softplus", "sigmoid", "glu", "polyrelu", "poly", "polyprelu"])
def test_beside_a_large_constant_not_all_neurons_are_inactive(name):
    # Inputs of a tenth leave h close to its constant, next to which all that the neurons add would be nothing.
    activation = activations.build(name).requires_grad_(False)
    if name.startswith("poly"):
        activation.coeff[0] = 0.5
    neurons = drawn(activation, gated=rows()[name].gated)
    assert abs(neurons.constant) >= 0.5
    assert shares(neurons, 0.1 * stream())[3] < 0.75


@pytest.mark.parametrize("name", ["polyrelu", "polyrelu_glu", "poly"])
def test_a_constant_changes_no_cett(name):
    neurons, x = of_table(name), stream(30, 16)
    own = neurons.activation
    without = Neurons(neurons.first, neurons.down, lambda *inputs: own(*inputs) - rest(neurons.constant, inputs))
    assert (neurons.constant != 0, without.constant) == (True, 0)
    one, other = Curve.of([(neurons, x)]), Curve.of([(without, x)])
    torch.testing.assert_close(one.thresholds, other.thresholds)
    torch.testing.assert_close(one.cett, other.cett)
    thresholds = [one.largest(tau) for tau in TAUS]
    assert cett([(neurons, x)], thresholds) == pytest.approx(cett([(without, x)], thresholds))


def test_planted_sparsity_is_found_exactly():
    # Of each token three neurons give 1 and 21 give 0.01, each along an axis of its own: without the 21 the output
    # lacks 0.01 sqrt(21) beside sqrt(3), and one neuron more would be a third of its square.
    neurons, x = one_hot(torch.eye(24).tolist()), torch.full((6, 24), 0.01)
    for token in range(6):
        x[token, 3 * token : 3 * token + 3] = 1.0
    curve, (lengths,) = Curve.of([(neurons, x)]), neurons.magnitudes(x)
    assert float((lengths <= curve.largest(0.2)).double().mean()) == 21 / 24
    assert curve.largest(0.2) == pytest.approx(0.01)
    assert curve.at(curve.largest(0.2)) == pytest.approx(0.01 * 21**0.5 / (3 + 21e-4) ** 0.5)


def test_of_several_crossings_the_last_one_is_taken():
    # One token, whose neurons give 2, -3 and 5, together 4: without the first 2 are missing, without two of them 1.
    curve = Curve.of([(one_hot([[2.0], [-3.0], [5.0]]), torch.ones(1, 3))])
    assert curve.thresholds.tolist() == [0.0, 2.0, 3.0, 5.0]
    assert curve.cett.tolist() == pytest.approx([0, 1 / 2, 1 / 4, 1])
    assert curve.largest(0.3) == 3.0
    assert curve.largest(0.2) == 0.0


@pytest.mark.parametrize("name", ["gelu", "polynorm", "reglu", "polynorm_glu"])
def test_every_length_is_tried_on_every_token(name):
    neurons, x = of_table(name, d_model=6, d_ff=9), stream(7, 6)
    curve, (lengths,) = Curve.of([(neurons, x)]), neurons.magnitudes(x)
    candidates = torch.cat([torch.zeros(1), lengths.flatten()]).unique()
    hidden, columns = neurons.hidden(x).double(), neurons.down.double().T
    whole = (hidden @ columns).norm(dim=-1)
    means = torch.stack(
        [(torch.where(lengths <= limit, hidden, 0) @ columns).norm(dim=-1).div(whole).mean() for limit in candidates]
    )
    torch.testing.assert_close(curve.thresholds, candidates)
    torch.testing.assert_close(curve.cett, means, rtol=1e-4, atol=1e-5)  # sums of nine are made in float32
    assert (means.diff() < 0).any(), "the example shows nothing: CETT never fell"
    for tau in (0.1, 0.3, 0.5, 0.9):
        assert curve.largest(tau) == candidates[(curve.cett <= tau).nonzero()[-1, 0]]


def test_a_scan_in_pieces_is_a_scan_of_all():
    neurons, x = of_table("gelu"), stream(30, 16)
    whole, parts = Curve.of([(neurons, x)]), Curve.of([(neurons, x[:7]), (neurons, x[7:7]), (neurons, x[7:])])
    assert torch.equal(whole.thresholds, parts.thresholds)
    torch.testing.assert_close(whole.cett, parts.cett)


def test_the_mean_at_a_threshold_is_that_of_the_scan():
    neurons, x = of_table("polynorm"), stream(30, 16)
    curve = Curve.of([(neurons, x)])
    thresholds = [curve.largest(tau) for tau in TAUS]
    assert cett([(neurons, x[:10]), (neurons, x[10:])], thresholds) == pytest.approx(
        [curve.at(threshold) for threshold in thresholds], rel=1e-4
    )


def test_an_ffn_that_gives_nothing_loses_nothing():
    neurons = one_hot([[0.0], [0.0]])
    curve = Curve.of([(neurons, torch.ones(3, 2))])
    assert (curve.thresholds.tolist(), curve.cett.tolist()) == ([0.0], [0.0])
    assert cett([(neurons, torch.ones(3, 2))], [0.0]) == [0.0]


def test_quantiles_are_lengths_that_at_least_so_many_do_not_exceed():
    lengths = torch.tensor([[3.0, 0.0, 1.0], [0.0, 2.0, 0.0]])
    assert quantiles(lengths, [0, 0.5, 0.51, 0.8, 1]) == [-1, 0, 1, 2, 3]
