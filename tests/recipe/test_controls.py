"""The two controls: what their recipes accept, and counts held to the models built."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from repro.errors import RecipeError
from repro.models.mlp import mlp_from_recipe
from repro.models.recurrent import recurrent_from_recipe
from repro.recipe import load, mlp, names, recurrent
from repro.recipe.controls import MLPModel, RNNModel
from repro.recipe.table import rows
from tests.helpers import kept_bytes

PLAIN = [name for name, row in rows().items() if not row.gated]
RNN = RNNModel(activation="relu", vocab_size=61, d_model=24, n_layers=3)
PERCEPTRON = MLPModel(activation="relu", classes=7, inputs=48, width=20, n_layers=3)
BUILT = {
    RNNModel: (recurrent, recurrent_from_recipe, ("embed_tokens", "lm_head")),
    MLPModel: (mlp, mlp_from_recipe, ("fc",)),
}


def on_meta(model):
    with torch.device("meta"):
        return BUILT[type(model)][1](model)


@pytest.mark.parametrize("model", [RNN, PERCEPTRON], ids=["rnn", "mlp"])
@pytest.mark.parametrize("activation", PLAIN)
def test_the_count_is_that_of_the_model_built(model, activation):
    model = model.model_copy(update={"activation": activation})
    sizes, _, outer = BUILT[type(model)]
    built, counted = on_meta(model), sizes.count(model)
    parameters = {name: p.numel() for name, p in built.named_parameters()}
    learned = [p.numel() for act in built.activations().values() for p in act.parameters()]
    assert counted.total == counted.active == sum(parameters.values())
    assert counted.coefficients == sum(learned)
    assert counted.non_embedding == sum(n for name, n in parameters.items() if not name.startswith(outer))
    assert counted.ffn_matrices == 0


def test_flops_of_the_recurrent_network_are_those_that_torch_counts():
    """Of each token but a sequence's first, before which the state is 0 and needs no gradient."""

    def counted(length):
        with FlopCounterMode(display=False) as counter, torch.device("meta"):
            on_meta(RNN)(torch.zeros(2, length, dtype=torch.long)).sum().backward()
        return counter.get_total_flops()

    assert counted(9) - counted(8) == 2 * recurrent.per_token(RNN).causal == 2 * recurrent.per_token(RNN).palm


def test_flops_of_the_perceptron_are_those_that_torch_counts():
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        on_meta(PERCEPTRON)(torch.zeros(2, 3, 4, 4)).sum().backward()
    assert counter.get_total_flops() == 2 * mlp.flops(PERCEPTRON)


@pytest.mark.parametrize("activation", ["relu", "silu", "polynorm", "polyrelu"])
def test_memory_of_the_recurrent_network_is_what_autograd_keeps(activation):
    """Within a tenth: token ids and the states before the first token are not counted."""
    model = RNNModel(activation=activation, vocab_size=61, d_model=64, n_layers=2)
    network, tokens = recurrent_from_recipe(model), torch.zeros(8, 32, dtype=torch.long)
    kept = kept_bytes(lambda: network(tokens, tokens).mean, apart=network.parameters())
    head = 4 * model.vocab_size * model.d_model  # the head's gradient, which is counted with the loss
    assert kept - head == pytest.approx(8 * 32 * recurrent.activations_per_token(model, 4), rel=0.1)


@pytest.mark.parametrize("family", ["rnn", "mlp"])
def test_every_plain_activation_has_a_smoke_and_no_gated_one(family):
    assert {name for name in names() if name.startswith(f"{family}-")} == {f"{family}-smoke-{word}" for word in PLAIN}
    with pytest.raises(
        RecipeError, match=rf"no recipe is called .*: {family} takes no gated activation, and swiglu is one"
    ):
        load(f"{family}-smoke-swiglu")


@pytest.mark.parametrize("family", ["rnn", "mlp"])
def test_the_smoke_is_small_repeats_to_the_bit_and_claims_nothing_about_the_paper(family):
    smoke = load(f"{family}-smoke-polynorm")
    assert BUILT[type(smoke.model)][0].count(smoke.model).total < 2_000_000
    assert smoke.deterministic
    assert "no evidence about the paper" in smoke.shows


@pytest.mark.parametrize(
    ("family", "overrides", "text"),
    [
        ("rnn", ["model.n_heads=2"], "unknown key 'model.n_heads'"),
        ("rnn", ["d_model=0"], "model.d_model is 0; expected a number above 0"),
        ("rnn", ["document_mask=true"], "data.document_mask=true is for decoders, whose attention it bounds; rnn has"),
        ("mlp", ["document_mask=true"], "unknown key 'document_mask'"),
        ("rnn", ["vocab_size=200"], "model.vocab_size=200 is below the 257 tokens of data.tokenizer=bpe"),
        ("rnn", ["context=60"], "budget.tokens_per_step=2048 is not a multiple of data.context=60"),
        ("mlp", ["model.norm_axes=channel"], "unknown key 'model.norm_axes'"),
        ("mlp", ["size=28", "test_size=28"], "model.inputs=3072 is not the 2352 numbers of an image of data.size=28"),
        ("mlp", ["test_size=28"], "data.test_size=28 is not data.size=32, the one size that an MLP takes"),
        ("mlp", ["test_resize=30"], "data.test_size=32 is above data.test_resize=30"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(family, overrides, text):
    with pytest.raises(RecipeError) as refusal:
        load(f"{family}-smoke-polynorm", overrides)
    assert text in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_perceptron_sees_images_that_are_not_moved_unless_it_is_asked_to():
    assert load("mlp-smoke-relu").data.crop == "none"
    assert load("mlp-smoke-relu", ["crop=padded"]).data.crop == "padded"


def test_a_perceptron_takes_images_of_another_size_when_its_inputs_follow():
    assert load("mlp-smoke-relu", ["size=28", "test_size=28", "inputs=2352"]).model.inputs == 2352


@pytest.mark.parametrize("name", ["mlp-smoke-relu2", "rnn-smoke-relu"])
def test_without_norms_a_large_gradient_is_clipped_and_not_taken_for_a_divergence(name):
    """ReLU's RNN learns after norms of 500 times the typical one; the squared ReLU's MLP is watched as it grows."""
    assert load(name).optim.guard.spike == 10_000
