"""What `repro analyze` finds in the states of a run's layers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from repro.analysis.similarity import FIRST, Similarity, by_distance, watching_states
from repro.errors import RunError
from repro.inspection import states
from repro.inspection.sample import sample
from repro.recipe import load
from repro.training.trained import Trained

CPU = torch.device("cpu")
KINDS = ("stream", "centred stream", "block outputs")
TOKENS = ("all", f"without the first {FIRST}")


@pytest.fixture
def checkpoints(a_run):
    return Trained.every(a_run)


@pytest.fixture
def given(checkpoints):
    return sample(checkpoints[-1], CPU, size=256)


@pytest.fixture
def found(checkpoints, given):
    done = []
    result = states.measure(checkpoints, given, done.append)
    assert sum(done) == states.work(checkpoints, given) == 512
    return result


def test_a_family_without_a_stream_is_refused_with_its_reason():
    assert states.refusal(load("dense-smoke-relu")) == states.refusal(load("moe-smoke-swiglu")) == ""
    expected = "an image classifier has no tokens whose states could be compared"
    assert states.refusal(load("resnet50-smoke-relu")) == states.refusal(load("mlp-smoke-relu")) == expected
    assert "no residual stream" in states.refusal(load("rnn-smoke-relu"))


def test_all_kinds_are_there_with_and_without_first_tokens(found):
    rows = found.tables["similarity"]
    assert [(row["name"], row["tokens"]) for row in rows] == [(kind, tokens) for kind in KINDS for tokens in TOKENS]
    assert {row["step"] for row in rows} == {24}, "the newest checkpoint"
    assert {row["windows"] for row in rows} == {16}
    assert [row["tokens_seen"] for row in rows[:2]] == [256, 256 - 16 * FIRST]
    for row in rows:
        assert row["mean_low"] <= row["mean"] <= row["mean_high"]


def test_numbers_are_those_of_the_newest_network_on_the_sample(found, checkpoints, given):
    expected = Similarity()
    network = checkpoints[-1].network(CPU)
    with watching_states(network, lambda seen: expected.add(seen.stream)):
        network(given.inputs)
    (row, *_) = found.tables["similarity"]
    assert row["adjacent"] == pytest.approx(by_distance(expected.matrix)[0], abs=1e-6)
    np.testing.assert_allclose(found.arrays["states"]["stream_all"], expected.matrix, atol=1e-6)
    by_layer = {
        (own["layer"], own["other_layer"]): own["cosine"]
        for own in found.tables["similarity_matrix"]
        if (own["name"], own["tokens"]) == ("stream", "all")
    }
    assert by_layer[0, 2] == pytest.approx(expected.matrix[0, 2], abs=1e-6)


def test_layers_of_block_outputs_begin_at_1(found):
    rows = [row for row in found.tables["similarity_matrix"] if row["name"] == "block outputs"]
    assert {row["layer"] for row in rows} == {1, 2}


def test_the_cka_of_a_layer_with_itself_is_1(found):
    own = [row["cka"] for row in found.tables["cka"] if row["layer"] == row["other_layer"]]
    assert own == [pytest.approx(1)] * 6


def test_few_windows_are_said_to_be_few_and_one_has_no_interval(checkpoints, found):
    assert any("fewer than 30 windows" in remark for remark in found.remarks)
    alone = states.measure(checkpoints, sample(checkpoints[-1], CPU, size=16), lambda n: None)
    assert any("Of one window there is no interval" in remark for remark in alone.remarks)
    assert {row["mean_low"] for row in alone.tables["similarity"]} == {None}
    more = states.measure(checkpoints, sample(checkpoints[-1], CPU, size=512), lambda n: None)
    assert not any("windows an interval" in remark for remark in more.remarks)
    first, last = found.tables["similarity"][0], more.tables["similarity"][0]
    assert last["mean_high"] - last["mean_low"] < first["mean_high"] - first["mean_low"], "more tokens, less width"


def test_a_run_against_itself_has_the_cka_of_its_own_layers(checkpoints, given, found):
    both = states.measure(checkpoints, given, lambda n: None, against=checkpoints[-1])
    own, cross = (both.arrays["states"][name] for name in ("cka_all", "cka_against_all"))
    np.testing.assert_allclose(cross, own)
    np.testing.assert_allclose(own, found.arrays["states"]["cka_all"], err_msg="which the second leaves as it is")
    other = states.measure(checkpoints, given, lambda n: None, against=checkpoints[0])
    assert 0 < other.arrays["states"]["cka_against_all"][2, 2] < 1 - 1e-6


def test_figures_say_what_they_are_of(found):
    assert set(found.figures) == {"similarity", "similarity_by_distance", "cka"}
    assert all("256 held-out tokens" in drawn.caption for drawn in found.figures.values())


def test_the_second_run_is_named_under_its_figure(checkpoints, given):
    both = states.measure(checkpoints, given, lambda n: None, against=checkpoints[0])
    caption = both.figures["cka_against"].caption
    assert f"those of {checkpoints[0].folder}, a run of dense-smoke-polynorm, at step 20 (columns)" in caption
    assert "block outputs" not in caption + both.figures["cka"].caption, "which it does not show"


def test_states_that_are_not_finite_are_refused_by_their_layer(checkpoints, given):
    network = checkpoints[-1].network(CPU)
    network.layers[1].mlp.down_proj.weight[0] = torch.nan
    broken = replace(checkpoints[-1])
    object.__setattr__(broken, "network", lambda device: network)
    said = r"step-00000024: what layers\.1 leaves is not finite"
    with pytest.raises(RunError, match=said):
        states.measure([broken], given, lambda n: None)
    with pytest.raises(RunError, match=said):
        states.measure(checkpoints[:1], given, lambda n: None, against=broken)


def test_of_one_block_there_is_nothing_to_be_compared(checkpoints, given):
    network = checkpoints[-1].network(CPU)
    network.layers = network.layers[:1]
    shallow = replace(checkpoints[-1])
    object.__setattr__(shallow, "network", lambda device: network)
    found = states.measure([shallow], given, lambda n: None)
    stream, outputs = ([row for row in found.tables["similarity"] if row["name"] == name] for name in KINDS[::2])
    assert all(row["adjacent"] is not None for row in stream)
    assert {row[key] for row in outputs for key in ("adjacent", "mean", "mean_low")} == {None}
    assert any("Of one block there are no block outputs" in remark for remark in found.remarks)
