"""What goes into activations and comes out, in every family; planted dead neurons; constant terms."""

import numpy as np
import pytest
import torch

from repro import activations
from repro.activations import reference
from repro.analysis.constants import without_part
from repro.analysis.inputs import (
    Call,
    Neurons,
    constant,
    places,
    rows,
    watching_calls,
    watching_outputs,
    without_constant,
)
from repro.models.init import initialise
from repro.models.mlp import MLP, scaled
from repro.models.moe import PerExpert
from repro.models.recurrent import Recurrent, elman
from repro.models.resnet import AXES, ResNet
from tests.analysis.decoders import decoder, tokens


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def called(network, *given):
    seen = []
    with torch.no_grad(), watching_calls(network, seen.append):
        network(*given)
    return seen


def call(word, x, up=None):
    activation = activations.build(word)
    with torch.no_grad():
        return Call(word, activation, x, activation(x) if up is None else activation(x, up), up)


def neurons(*calls):
    found = Neurons()
    for own in calls:
        found.add(own)
    return found


# Calls


@pytest.mark.parametrize("activation", ["polynorm", "swiglu"])
def test_each_layer_of_a_decoder_is_seen_with_what_it_gives(activation):
    network, outputs = decoder(activation), {}
    with watching_outputs(network, outputs.__setitem__):
        seen = called(network, tokens())
    assert [own.name for own in seen] == ["layers.0.mlp", "layers.1.mlp"]
    assert (seen[0].up is None) == (activation == "polynorm")
    for own in seen:
        assert own.inputs.shape == own.hidden.shape
        assert len(own.inputs) == 48, "tokens"
        down = network.get_submodule(own.name).down_proj
        torch.testing.assert_close(down(own.hidden).view(3, 16, -1), outputs[own.name])


def test_rows_of_experts_carry_their_expert_and_outputs_are_the_mixtures():
    network, outputs = decoder(family="moe"), {}
    with watching_outputs(network, outputs.__setitem__):
        seen = called(network, tokens())
    assert [own.name for own in seen] == ["layers.0.mlp.experts", "layers.1.mlp.experts"]
    assert seen[0].expert.tolist() == sorted(seen[0].expert.tolist())
    assert seen[0].experts == 4
    assert outputs["layers.0.mlp.experts"].shape == (3, 16, 16)


@pytest.mark.parametrize("axes", list(AXES))
def test_units_of_a_resnet_are_channels_whatever_its_norms_run_over(axes):
    torch.manual_seed(0)
    network = ResNet("polynorm", blocks=(1, 1), width=4, stem="cifar", classes=3, norm_axes=axes).eval()
    norms = {}
    for name in ("bn1", "layer1.0.bn2"):
        network.get_submodule(name).register_forward_hook(lambda _, x, y, name=name: norms.update({name: y}))
    seen = {own.name: own for own in called(network, draw(2, 3, 8, 8))}
    assert len(seen) == 7
    for act, norm in (("act1", "bn1"), ("layer1.0.act2", "layer1.0.bn2")):
        x = norms[norm].movedim(1, -1).flatten(0, -2)
        torch.testing.assert_close(seen[act].inputs.sort(0).values, x.sort(0).values)
        assert seen[act].hidden.shape == x.shape


def test_controls_without_norms_are_seen_call_by_call():
    network = Recurrent(vocab_size=17, d_model=8, n_layers=2, activation="polynorm")
    initialise(network, 0, elman(8))
    assert [own.inputs.shape for own in called(network, torch.randint(17, (3, 5)))] == [(3, 8)] * 10
    network = MLP(inputs=48, classes=3, width=8, n_layers=2, activation="relu")
    initialise(network, 0, scaled)
    assert [own.name for own in called(network, draw(2, 3, 4, 4))] == ["layers.0.act", "layers.1.act"]


def test_watching_changes_nothing_and_leaves_nothing():
    network = decoder()
    before = network(tokens())
    with watching_calls(network, lambda own: None), watching_outputs(network, lambda name, y: None):
        during = network(tokens())
    assert torch.equal(before, during)
    assert not any(module._forward_hooks for module in network.modules())


# Constant terms


def with_coefficients(word, coeff):
    activation = activations.build(word)
    with torch.no_grad():
        activation.coeff.copy_(torch.tensor(coeff))
    return activation


COEFF = [0.3, 0.1, 0.7, -0.2]


@pytest.mark.parametrize("word", ["polyrelu", "polynorm", "polyprelu", "polyrelunorm", "poly"])
def test_the_constant_term_is_a_0(word):
    activation = with_coefficients(word, COEFF)
    x = draw(5, 16)
    assert constant(Call(word, activation, x, activation(x))).item() == pytest.approx(0.3)


def test_of_the_l2_norm_it_is_as_small_as_the_others():
    activation, x = with_coefficients("polynorm_l2", COEFF), draw(5, 16)
    assert constant(Call("", activation, x, activation(x))).item() == pytest.approx(0.3 / 4)


@pytest.mark.parametrize(
    ("word", "expected"), [("relu", 0), ("gelu", 0), ("sigmoid", 0.5), ("softplus", np.log(2)), ("xielu", -8e-7)]
)
def test_of_others_it_is_what_they_give_at_0(word, expected):
    assert constant(call(word, draw(5, 16))).item() == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rounding_against_the_constant_is_no_distance_from_it(dtype):
    part = (0.3 + 0.1 * draw(50, 16)).to(dtype)
    hidden = (part * (1 + torch.finfo(dtype).eps / 2 * draw(50, 16, seed=1).sign())).to(dtype)
    assert without_part(hidden, part).abs().max() == 0
    assert (without_part(hidden + 0.05, part) != 0).all()
    assert without_part(torch.tensor([1e-30]), torch.zeros(1)) == 1e-30


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_exact_zeros_are_seen_behind_a_constant_term(dtype):
    activation, x = with_coefficients("polyrelu", COEFF), draw(50, 16).to(dtype)
    with torch.no_grad():
        own = Call("", activation, x, activation(x))
    assert (own.hidden == 0).sum() == 0
    zero = without_constant(own) == 0
    assert zero[x <= 0].all()
    assert not zero[x > 0.1].any(), "in 16 bits what is small adds nothing to the constant"
    assert neurons(own).exact_zeros == pytest.approx(zero.double().mean().item())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_closed_gate_lets_a_multiple_through_which_is_taken_off(dtype):
    activation, x, up = with_coefficients("polyrelu_glu", COEFF), draw(50, 16).to(dtype), draw(50, 16, seed=1).to(dtype)
    with torch.no_grad():
        own = Call("", activation, x, activation(x, up), up)
    zero = without_constant(own) == 0
    assert zero[x <= 0].all()
    assert not zero[x > 0.1].any()


def test_each_expert_has_its_own():
    activation = PerExpert(activations.build("polyrelu"), 2)
    with torch.no_grad():
        activation.coeff[:, 0] = torch.tensor([0.25, 0.5])
    x, ends = -draw(6, 4).abs(), torch.tensor([2, 6], dtype=torch.int32)
    expert = torch.tensor([0, 0, 1, 1, 1, 1])
    own = Call("", activation, x, activation(x, ends).detach(), expert=expert, experts=2)
    assert constant(own).flatten().tolist() == [0.25, 0.5]
    assert without_constant(own).abs().max() == 0


# Dead neurons


def test_planted_dead_neurons_are_found_over_all_calls():
    x = draw(400, 40)
    x[:, :7] = -x[:, :7].abs()  # never above 0
    x[:, 7] = -1
    x[399, 7] = 0.1  # once
    found = neurons(call("relu", x[:200]), call("relu", x[200:]))
    assert found.dead(0.0) == pytest.approx(7 / 40)
    assert found.dead(0.2) == pytest.approx(8 / 40)
    assert neurons(call("relu", x[:200])).dead(0.0) == pytest.approx(8 / 40), "fewer tokens find more"


def test_of_experts_a_neuron_is_dead_for_its_own_tokens_and_none_is_where_there_are_none():
    hidden = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]])
    own = Call("", torch.nn.ReLU(), hidden, hidden, expert=torch.tensor([0, 0, 2]), experts=3)
    found = neurons(own)
    assert found.seen == 4, "the second expert's two are not"
    assert found.dead(0.0) == 2 / 4


def test_neurons_whose_values_are_nan_were_seen_all_the_same():
    nan = torch.full((3, 2), float("nan"))
    assert neurons(Call("", torch.nn.ReLU(), nan, nan)).seen == 2


def test_each_activation_has_the_number_of_its_layer_and_of_a_resnet_of_its_block():
    assert places(decoder(family="moe")) == {"layers.0.mlp.experts": 0, "layers.1.mlp.experts": 1}
    numbers = places(ResNet("relu", blocks=(1, 1), width=4, stem="cifar", classes=3))
    assert (numbers["act1"], numbers["layer1.0.act1"], numbers["layer1.0.act3"], numbers["layer2.0.act2"]) == (
        0,
        1,
        1,
        2,
    )


# Rows


def test_rows_are_the_activation_on_what_a_row_holds():
    x = draw(80, 32)
    for row in rows(call("polynorm", x)):
        assert (np.diff(row.x) >= 0).all()
        activation = activations.build("polynorm")
        expected = reference.polynorm(torch.from_numpy(row.x), activation.coeff).detach().numpy()
        np.testing.assert_allclose(row.y, expected, atol=1e-6)


def test_of_a_gated_one_they_are_the_gates_part():
    x, up = draw(80, 32), draw(80, 32, seed=1)
    (row, *_) = rows(call("swiglu", x, up))
    np.testing.assert_allclose(row.y, torch.nn.functional.silu(torch.from_numpy(row.x)).numpy(), atol=1e-6)
