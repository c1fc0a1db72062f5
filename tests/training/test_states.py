"""Looking at states during training: what is logged, that nothing of the training changes, and ranks."""

import pytest
import torch

from repro import models
from repro.analysis.inputs import DEAD, Neurons, watching_calls, without_constant
from repro.analysis.similarity import Similarity, between_layers, by_distance, watching_states
from repro.data.text import Sample, TextData
from repro.recipe import load, machine
from repro.training.callbacks.states import Look, eager, sample
from repro.training.run import run
from repro.training.trained import Trained
from tests.conftest import EXPERTS, SMALL
from tests.training.test_tensorboard import events

EVERY = 8
CPU = torch.device("cpu")


def scalars(folder, *groups):
    found = events(folder)
    tags = [tag for tag in found.Tags()["scalars"] if tag.startswith(groups)]
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in tags}


@pytest.mark.parametrize("name", ["dense-smoke-polynorm", "moe-smoke-polyrelu", "rnn-smoke-polynorm"])
def test_training_is_the_same_to_the_bit(train, name):
    family = name.partition("-")[0]
    settings = SMALL | {"model.d_ff": 24} | (EXPERTS if family == "moe" else {})
    if family == "rnn":
        del settings["model.d_ff"]
    without, looking = (settings | {"analysis.every": every} for every in ("null", EVERY))
    assert train(load(name, words(looking)), "with") == train(load(name, words(without)), "without")


def words(settings):
    return [f"{key}={value}" for key, value in settings.items()]


def test_what_is_logged_is_that_of_the_checkpoint_on_the_held_out_windows(small, prepared, tmp_path):
    recipe = small({"analysis.every": EVERY})
    run(recipe, machine("cpu"), prepared, seed=0, folder=tmp_path)
    logged = scalars(tmp_path, "similarity/", "dead/", "kurtosis/")
    assert set(logged) == {
        *("similarity/adjacent", "similarity/mean"),
        *(f"{what}/layers.{layer}.mlp" for what in ("dead", "kurtosis") for layer in (0, 1)),
    }
    assert all([step for step, _ in values] == [8, 16, 24] for values in logged.values())
    network, windows = Trained.at(tmp_path).network(CPU), held_out(prepared)
    states, neurons, hidden = Similarity(), Neurons(), []
    with watching_states(network, lambda seen: states.add(seen.stream)), watching_calls(network, hidden.append):
        network(windows[:, :-1])
    first = next(call for call in hidden if call.name == "layers.0.mlp")
    neurons.add(first)
    moving, y = without_constant(first).double(), first.hidden.double()
    last = {tag: values[-1][1] for tag, values in logged.items()}
    assert last["similarity/adjacent"] == pytest.approx(by_distance(states.matrix)[0], abs=1e-6)
    assert last["similarity/mean"] == pytest.approx(between_layers(states.matrix), abs=1e-6)
    assert last["dead/layers.0.mlp"] == neurons.dead(DEAD * moving.square().mean().sqrt().item())
    kurtosis = ((y - y.mean()) ** 4).mean() / y.var(correction=0) ** 2
    assert last["kurtosis/layers.0.mlp"] == pytest.approx(kurtosis.item(), rel=1e-5)


def held_out(prepared):
    """Eight windows, as many as a step trains on."""
    data = TextData(
        prepared, context=16, sequences_per_step=8, micro_batch=8, steps=1, seed=0, workers=0, validation_tokens=512
    )
    chosen = Sample("held-out", prepared, context=16, tokens=128)
    (windows,) = data.validation_batches(chosen)
    return windows.long()


def test_a_run_that_was_stopped_shows_each_step_once(small, train, tmp_path):
    train(small({"analysis.every": EVERY}), stop_at=(9, 19))
    logged = scalars(tmp_path / "run", "similarity/", "dead/", "kurtosis/")
    assert all([step for step, _ in values] == [8, 16, 24] for values in logged.values())
    found = events(tmp_path / "run")
    assert [event.step for event in found.Images("figure/similarity")] == [24]


# Samples and compiled layers


@pytest.mark.parametrize(("ranks", "expected"), [(1, 8), (2, 8), (3, 6), (16, 16)])
def test_each_rank_has_as_many_windows(prepared, ranks, expected):
    data = TextData(
        prepared, context=16, sequences_per_step=8, micro_batch=8, steps=1, seed=0, workers=0, validation_tokens=512
    )
    assert sample(data, ranks).sequences == expected


def test_a_compiled_layer_is_looked_into_as_if_it_were_not(small):
    network = models.from_recipe(small().model)
    compiled = network.layers[0]

    def refuse(*given):
        raise AssertionError("hooks are passed over")

    compiled._compiled_call_impl = refuse
    look = Look(CPU)
    with torch.no_grad(), eager(network), look.watching(network):
        network(torch.randint(512, (2, 16)))
    assert compiled._compiled_call_impl is refuse
    assert len(look.similarity.sums) == 2
    assert set(look.neurons) == {"layers.0.mlp", "layers.1.mlp"}


def test_an_activation_that_gives_one_number_has_no_kurtosis(small):
    """All that goes in is 0, and so is all that comes out: every neuron is dead, and no fourth moment exists."""
    network = models.from_recipe(small(activation="relu").model)
    torch.nn.init.zeros_(network.layers[0].mlp.up_proj.weight)
    look = Look(CPU)
    with torch.no_grad(), look.watching(network):
        network(torch.randint(512, (2, 16)))
    row = look.row()
    assert row["dead/layers.0.mlp"] == 1
    assert set(row) == {"dead/layers.0.mlp", "dead/layers.1.mlp", "kurtosis/layers.1.mlp"}
