"""The recurrent control: torch's own network with ReLU and tanh, and every plain activation in the recurrence."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from repro import activations
from repro.activations import PolyNorm, reference
from repro.errors import RecipeError
from repro.models.init import initialise
from repro.models.recurrent import INPUT_DEVIATION, Recurrent, elman, recurrent_from_recipe
from repro.recipe.controls import RNNModel
from repro.recipe.table import rows
from tests.helpers import assert_a_step_lowers_the_loss_as_promised

PLAIN = [name for name, row in rows().items() if not row.gated]
VOCAB, D_MODEL, N_LAYERS = 61, 24, 2


def network(activation, *, vocab_size=VOCAB, d_model=D_MODEL, seed=0):
    model = Recurrent(vocab_size=vocab_size, d_model=d_model, n_layers=N_LAYERS, activation=activation)
    initialise(model, seed, elman(d_model))
    return model


@pytest.fixture
def tokens():
    return torch.randint(0, VOCAB, (3, 18), generator=torch.Generator().manual_seed(1))


def states(model, tokens):
    x = model.embed_tokens(tokens)
    for layer in model.layers:
        x = layer(x)
    return x


def torchs(model, kind):
    theirs = nn.RNN(D_MODEL, D_MODEL, N_LAYERS, nonlinearity=kind, bias=False, batch_first=True)
    for i, layer in enumerate(model.layers):
        getattr(theirs, f"weight_ih_l{i}").data = layer.input.weight.detach().clone()
        getattr(theirs, f"weight_hh_l{i}").data = layer.recurrent.weight.detach().clone()
    return theirs


@pytest.mark.parametrize("kind", ["relu", "tanh"])
def test_with_relu_and_tanh_it_is_torchs_own_network_to_the_bit(kind, tokens):
    model = network(kind)
    theirs, _ = torchs(model, kind)(model.embed_tokens(tokens))
    assert torch.equal(states(model, tokens), theirs)


@pytest.mark.parametrize("kind", ["relu", "tanh"])
def test_with_relu_and_tanh_gradients_agree_with_torchs_within_a_millionth(kind, tokens):
    model = network(kind)
    theirs, weight = torchs(model, kind), torch.randn(3, 18, D_MODEL)
    (states(model, tokens) * weight).sum().backward()
    (theirs(model.embed_tokens(tokens).detach())[0] * weight).sum().backward()
    for i, layer in enumerate(model.layers):
        for ours, name in ((layer.input, f"weight_ih_l{i}"), (layer.recurrent, f"weight_hh_l{i}")):
            expected = getattr(theirs, name).grad
            assert (ours.weight.grad - expected).norm() <= 1e-6 * expected.norm(), name


def test_with_polynorm_it_is_a_plain_loop_over_the_reference(tokens):
    model = network("polynorm").double()
    x = model.embed_tokens(tokens)
    for layer in model.layers:
        h, rows_ = torch.zeros(3, D_MODEL, dtype=torch.float64), []
        for t in range(x.shape[1]):
            h = reference.polynorm(x[:, t] @ layer.input.weight.T + h @ layer.recurrent.weight.T, layer.act.coeff)
            rows_.append(h)
        x = torch.stack(rows_, dim=1)
    torch.testing.assert_close(model(tokens), x @ model.lm_head.weight.T, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["polynorm", "polyrelu", "silu"])
def test_gradients_through_time_are_those_of_finite_differences(name):
    model = network(name, vocab_size=5, d_model=4).double()
    ids = torch.tensor([[0, 3, 1, 4]])
    matrix = model.layers[0].recurrent.weight

    def loss(weight):
        return torch.func.functional_call(model, {"layers.0.recurrent.weight": weight}, ids)

    assert torch.autograd.gradcheck(loss, matrix.detach().clone().requires_grad_())


def test_a_token_sees_none_that_follow_and_all_before(tokens):
    model, changed, first = network("polynorm"), tokens.clone(), tokens.clone()
    changed[:, 10:] = 0
    first[:, 0] = (first[:, 0] + 1) % VOCAB
    assert torch.equal(model(tokens)[:, :10], model(changed)[:, :10])
    assert (model(tokens) != model(first)).flatten(0, 1).any(-1).all()


def test_sequences_do_not_see_each_other(tokens):
    model = network("tanh")
    torch.testing.assert_close(model(tokens)[1:2], model(tokens[1:2]), rtol=1e-5, atol=1e-6)


def test_the_loss_is_the_cross_entropy_of_the_logits(tokens):
    model, targets = network("polynorm"), tokens.roll(-1, dims=1)
    mean, each, routing = model(tokens, targets)
    expected = F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
    torch.testing.assert_close(each, expected.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(mean, expected.mean(), rtol=1e-6, atol=0)
    assert routing == ()


def test_each_layer_has_an_activation_of_its_own_that_is_called_once_a_token(tokens):
    model, seen = network("polynorm"), []
    for name, module in model.activations().items():
        module.register_forward_hook(lambda module, inputs, y, name=name: seen.append((name, tuple(y.shape))))
    model(tokens)
    assert seen == [(f"layers.{i}.act", (3, D_MODEL)) for i in range(N_LAYERS) for _ in range(18)]
    assert len({id(module.coeff) for module in model.activations().values()}) == N_LAYERS


@pytest.mark.parametrize("name", PLAIN)
def test_every_plain_activation_begins_near_a_guess_at_the_size_of_the_smoke_and_trains_a_step(name):
    """In float64: a step down the gradient lowers the loss by what the gradient promises."""
    model = network(name, vocab_size=4096, d_model=64).double()
    ids = torch.randint(0, 4096, (8, 64), generator=torch.Generator().manual_seed(2))

    def loss():
        torch.manual_seed(1)  # of the randomised ReLU
        return F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())

    before = assert_a_step_lowers_the_loss_as_promised(model, loss)
    assert before.item() == pytest.approx(math.log(4096), abs=1)  # sigmoid and softplus are far from 0 at 0


@pytest.mark.parametrize("name", ["polyrelu", "poly", "relu2"])
def test_what_grows_without_bound_gives_no_number_rather_than_an_error(name, tokens):
    model = network(name)
    with torch.no_grad():
        model.embed_tokens.weight.mul_(100)
    loss = model(tokens, tokens.roll(-1, dims=1)).mean
    loss.backward()
    assert not loss.isfinite()


# The beginning


def filled(name, seed=0):
    with torch.device("meta"):
        model = Recurrent(vocab_size=500, d_model=64, n_layers=N_LAYERS, activation=name)
    model.to_empty(device="cpu")
    initialise(model, seed, elman(64))
    return model.state_dict()


def test_initial_weights_depend_on_seed_and_name_alone():
    one, again, two, relu = filled("polynorm"), filled("polynorm"), filled("polynorm", seed=1), filled("relu")
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(one[name], two[name]) for name in one if one[name].dim() == 2)
    assert all(torch.equal(one[name], relu[name]) for name in relu)
    assert not torch.equal(one["layers.0.recurrent.weight"], one["layers.1.recurrent.weight"])


def test_recurrent_matrices_begin_orthogonal_and_the_others_with_the_deviations_that_are_stated():
    weights = filled("polynorm")
    for i in range(N_LAYERS):
        matrix = weights[f"layers.{i}.recurrent.weight"].double()
        torch.testing.assert_close(matrix @ matrix.T, torch.eye(64, dtype=torch.float64), rtol=0, atol=1e-5)
        assert weights[f"layers.{i}.act.coeff"].tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])
    stated = {"embed_tokens.weight": INPUT_DEVIATION} | dict.fromkeys(
        ["lm_head.weight", "layers.1.input.weight"], 1 / 8
    )
    for name, std in stated.items():
        four_errors = 4 / math.sqrt(2 * weights[name].numel())
        assert weights[name].std().item() == pytest.approx(std, rel=four_errors), name


def test_relu_keeps_the_deviation_of_its_input_through_time_and_layers():
    """An orthogonal matrix keeps a state's mean square, a matrix of deviation 1 / sqrt(d_model) an input's; half of
    their sum is what ReLU lets through, and so the state settles at the input's. Within a tenth, over 2 ** 15 numbers.
    """
    model = network("relu", vocab_size=500, d_model=64)
    ids = torch.randint(0, 500, (16, 64), generator=torch.Generator().manual_seed(3))
    settled = states(model, ids)[:, 32:].square().mean().sqrt().item()
    assert settled == pytest.approx(INPUT_DEVIATION, rel=0.1)


# What it takes


def test_a_factory_does_what_the_name_does(tokens):
    assert torch.equal(network("polynorm")(tokens), network(PolyNorm)(tokens))


def test_a_recipe_says_what_it_is():
    model = RNNModel(activation="polynorm", vocab_size=300, d_model=16, n_layers=3)
    built = recurrent_from_recipe(model)
    assert (built.lm_head.weight.shape, len(built.layers)) == ((300, 16), 3)
    assert all(isinstance(module, PolyNorm) for module in built.activations().values())


@pytest.mark.parametrize(
    ("activation", "text"),
    [
        ("swiglu", "activation 'swiglu' must take one input"),
        ("polynorm_glu", "activation 'polynorm_glu' must take one input"),
        ("polynrm", r"activation 'polynrm' is not in recipes/activations.yaml. Did you mean 'polynorm'\?"),
        (activations.build("relu"), "activation is one ReLU, which all sites would share"),
    ],
)
def test_an_activation_that_cannot_be_taken_is_refused_in_one_line(activation, text):
    with pytest.raises(RecipeError, match=text) as refusal:
        network(activation)
    assert "\n" not in str(refusal.value)
