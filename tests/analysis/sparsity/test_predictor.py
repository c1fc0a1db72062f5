"""The predictor finds a planted rule, is no better than chance where there is none, and is measured as it should be."""

import pytest
import torch

from repro.analysis.sites import sites
from repro.analysis.sparsity.inputs import Given
from repro.analysis.sparsity.neurons import Layer
from repro.analysis.sparsity.predictor import Predictor, auc, recall
from repro.analysis.sparsity.telling import Gate, Guesses, active, alone, lengths
from tests.analysis.decoders import decoder
from tests.analysis.sparsity.planted import of_table, stream


def ruled(n, d_model=24, d_ff=40, rank=3, seed=0):
    """Rows and who is active in them, by the sign of three directions of the input, mixed and shifted."""
    generator = torch.Generator().manual_seed(seed)
    directions, mixed = torch.randn(rank, d_model, generator=generator), torch.randn(d_ff, rank, generator=generator)
    x = stream(n, d_model, seed=seed + 1)
    return x, (x @ directions.T) @ mixed.T > 4.0


def test_a_planted_low_rank_rule_is_found():
    x, on = ruled(2400)
    predictor = Predictor.trained(x[:2000], on[:2000], rank=8)
    assert 0.1 < on.float().mean() < 0.4
    assert recall(predictor.logits(x[2000:]), on[2000:]) > 0.9
    assert auc(predictor.logits(x[2000:]), on[2000:]) > 0.98


def test_it_names_about_as_many_as_are_active():
    x, on = ruled(2400)
    predictor = Predictor.trained(x[:2000], on[:2000], rank=8)
    named, there = (float(who[-400:].float().mean()) for who in (predictor.active(x), on))
    assert named == pytest.approx(there, rel=0.1)


def test_where_there_is_no_rule_it_knows_who_is_usually_active_and_no_more():
    generator = torch.Generator().manual_seed(0)
    often = torch.linspace(0.05, 0.6, 40)
    x, on = stream(2400, 24), torch.rand(2400, 40, generator=generator) < often
    predictor = Predictor.trained(x[:2000], on[:2000], rank=8)
    usual = recall(on[:2000].float().mean(0).expand(400, 40), on[2000:])
    assert recall(predictor.logits(x[2000:]), on[2000:]) == pytest.approx(usual, abs=0.04)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_neurons_that_are_always_or_never_active_can_be_learned(share):
    x, on = stream(64, 24), torch.full((64, 40), bool(share))
    predictor = Predictor.trained(x, on, rank=2)
    assert predictor.active(x).float().mean() == share


def test_it_is_the_same_again():
    x, on = ruled(200)
    one, other = (Predictor.trained(x, on, rank=2) for _ in range(2))
    assert torch.equal(one.logits(x), other.logits(x))
    assert one.threshold == other.threshold


def test_a_recall_is_the_share_of_active_among_as_many_named():
    scores = torch.tensor([[0.9, 0.1, 0.8], [0.7, 0.2, 0.3]])
    on = torch.tensor([[True, True, False], [True, False, False]])
    assert recall(scores, on) == pytest.approx(2 / 3)  # 0.9, 0.8 and 0.7 are named
    assert recall(scores, torch.zeros_like(on)) is None


def test_an_auc_counts_pairs_and_half_of_ties():
    on = torch.tensor([True, False, True, False])
    assert auc(torch.tensor([4.0, 3.0, 2.0, 1.0]), on) == 3 / 4
    assert auc(torch.tensor([1.0, 1.0, 1.0, 1.0]), on) == 1 / 2
    assert auc(torch.tensor([2.0, 1.0, 1.0, 0.0]), on) == 3.5 / 4
    assert auc(torch.tensor([1.0, 2.0]), torch.ones(2, dtype=torch.bool)) is None


@pytest.mark.parametrize("name", ["swiglu", "polynorm_glu", "drelu"])
def test_a_gate_tells_the_length_if_one_were_let_through(name):
    own, x = of_table(name), stream(40, 16)
    gate = x @ own.first[0].T
    expected = (own.activation(gate, torch.ones_like(gate)) - own.constant).abs() * own.lengths
    assert torch.equal(lengths(own, alone(own, gate)), expected)


def test_gates_of_reglu_find_most_of_the_active_and_a_layer_without_gates_has_none():
    x, others = (Given(stream(300, 16, seed=seed), None) for seed in (4, 5))
    layer = Layer(sites(decoder("reglu"))[0])
    threshold = 0.5 * float(torch.cat(list(layer.neurons[0].magnitudes(x.x))).max())
    gate = Gate.of(layer, x, others, threshold)
    on = active(layer.neurons[0], others.x, threshold)
    assert on.float().mean() < gate.recall < 1
    assert Gate.of(Layer(sites(decoder("relu"))[0]), x, others, threshold) is None


def test_guesses_are_judged_on_other_tokens_and_experts_have_none():
    x, others = (Given(stream(400, 16, seed=seed), None) for seed in (4, 5))
    guesses = Guesses.of(Layer(sites(decoder("relu"))[0]), x, others, 0.01)
    assert guesses.auc > 0.6
    assert guesses.recall > guesses.recall_of_usual
    experts = Layer(sites(decoder("swiglu", "moe"))[0])
    assert Guesses.of(experts, Given(x.x, torch.zeros(400, 1, dtype=torch.int64)), others, 0.01) is None
