"""Ranks of a run's matrices: a row for each of them at each checkpoint, and what is said of those that have none."""

import math

import pytest
import torch

from repro.analysis.random_matrices import effective_rank
from repro.analysis.spectrum import Spectrum
from repro.errors import RunError
from repro.inspection import weights
from repro.inspection.sample import no_sample
from repro.recipe import load
from repro.training import checkpoints
from repro.training.trained import Trained
from tests.conftest import SMALL
from tests.interop import untrained

NOTHING = no_sample(torch.device("cpu"))


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The checkpoints of a run whose weights ``plant`` may change, and what is found in them."""

    def make(name, settings=(), *, steps=(5, 10), plant=lambda state, step: None):
        draw = untrained.weights

        def planted(recipe, seed):
            state = draw(recipe, seed)
            plant(state, seed)
            return state

        with monkeypatch.context() as patch:
            patch.setattr(untrained, "weights", planted)
            recipe = load(name, [f"{key}={value}" for key, value in dict(settings).items()])
            return Trained.every(untrained.write(recipe, tmp_path / "run", steps=steps))

    return make


def found(of):
    told = []
    result = weights.measure(of, NOTHING, told.append)
    assert sum(told) == weights.work(of, NOTHING)
    return result


def rows(of):
    return found(of).tables["weights"]


def test_each_matrix_of_each_checkpoint_has_a_row(made):
    of = made("dense-smoke-swiglu", SMALL)
    places = [(row["step"], row["layer"], row["part"], row["expert"]) for row in rows(of)]
    assert places == [(step, i, part, None) for step in (5, 10) for i in (0, 1) for part in ("gate", "up", "down")]


def test_numbers_are_those_of_the_matrix(made):
    of = made("dense-smoke-polynorm", SMALL, steps=(7,))
    state = untrained.weights(of[0].recipe, 7)
    for row in rows(of):
        matrix = state[f"{row['name']}.weight"]
        expected = Spectrum.of(matrix)
        assert (row["rows"], row["columns"]) == tuple(matrix.shape)
        assert row["effective_rank"] == pytest.approx(expected.effective_rank, rel=1e-12)
        assert row["normalised_rank"] == pytest.approx(expected.effective_rank / effective_rank(*matrix.shape))
        assert row["stable_rank"] == pytest.approx(expected.stable_rank, rel=1e-12)
        assert row["participation_ratio"] == pytest.approx(expected.participation_ratio, rel=1e-12)
        assert row["largest_singular_value"] == pytest.approx(expected.largest, rel=1e-12)


def test_each_expert_and_gate_and_up_of_one_tensor_have_rows_of_their_own(made):
    def plant(state, step):
        state["layers.1.mlp.experts.gate_up_proj"][2, -1:] = 0  # a row of the up half of one expert
        state["layers.1.mlp.experts.gate_up_proj"][2, :32] = 1  # all of its gate's half

    of = made("moe-smoke-swiglu", SMALL | {"model.d_ff": 48, "optim.schedule_tokens": 3072}, steps=(3,), plant=plant)
    of_layer = {(row["part"], row["expert"]): row for row in rows(of) if row["layer"] == 1}
    assert set(of_layer) == {(part, expert) for part in ("gate", "up", "down") for expert in range(4)}
    assert of_layer["gate", 2]["effective_rank"] == pytest.approx(1, abs=1e-4)
    assert min(row["effective_rank"] for place, row in of_layer.items() if place != ("gate", 2)) > 5


def test_a_matrix_of_zeros_has_rank_zero_and_is_named(made):
    of = made("dense-smoke-polynorm", SMALL, plant=lambda state, step: state["layers.1.mlp.up_proj.weight"].zero_())
    result = found(of)
    zero = [row for row in result.tables["weights"] if (row["layer"], row["part"]) == (1, "up")]
    numbers = ("effective_rank", "normalised_rank", "stable_rank", "participation_ratio", "largest_singular_value")
    assert [[row[number] for number in numbers] for row in zero] == [[0.0] * 5] * 2
    assert "layers.1.mlp.up_proj (up) is all zeros at step 10: its ranks are 0" in result.remarks
    values = [value for row in result.tables["weights"] for value in row.values() if isinstance(value, float)]
    assert all(math.isfinite(value) for value in values)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_matrix_that_is_not_finite_is_refused_by_its_name(made, bad):
    def plant(state, step):
        state["layers.1.mlp.experts.up_proj"][3, 0, 0] = bad if step == 10 else 0

    of = made("moe-smoke-polynorm", SMALL | {"optim.schedule_tokens": 3072}, plant=plant)
    with pytest.raises(RunError) as told:
        found(of)
    expected = "step-00000010: layers.1.mlp.experts.up_proj has no rank: matrix 4 of 4 is not finite"
    assert str(told.value).endswith(expected)
    assert "\n" not in str(told.value)


def test_of_a_fused_tensor_the_half_is_named_too(made):
    def plant(state, step):
        state["layers.0.mlp.experts.gate_up_proj"][0, -1, 0] = math.nan

    of = made("moe-smoke-swiglu", SMALL | {"optim.schedule_tokens": 3072}, plant=plant)
    with pytest.raises(RunError, match=r"experts\.gate_up_proj \(up\) has no rank: matrix 1 of 4 is not finite"):
        found(of)


def test_one_tensor_at_a_time_is_read(made, monkeypatch):
    of, fill, read = made("dense-smoke-swiglu", SMALL, steps=(5,)), checkpoints.fill, []

    def filling(path, tensors):
        read.append(list(tensors))
        fill(path, tensors)

    monkeypatch.setattr(checkpoints, "fill", filling)
    found(of)
    parts = ("gate", "up", "down")
    assert read == [[f"decoder.layers.{i}.mlp.{part}_proj.weight"] for i in (0, 1) for part in parts]


def test_a_matrix_in_two_factors_is_one_row_of_their_product(made):
    of = made("dense-smoke-polynorm", SMALL | {"model.ffn_rank": 4}, steps=(5,))
    assert [row["part"] for row in rows(of)] == ["up", "down"] * 2
    assert all(row["effective_rank"] < 4.01 and row["columns"] * row["rows"] == 16 * 48 for row in rows(of))


def test_a_resnet_shows_its_convolutions_and_says_so(made):
    result = found(made("resnet50-smoke-polynorm"))
    of_newest = [row for row in result.tables["weights"] if row["step"] == 10]
    assert [row["part"] for row in of_newest] == ["stem", *["conv1", "conv2", "conv3", "downsample"] * 3]
    assert "a ResNet has no FFNs: its matrices are its convolutions" in result.remarks[0]
    assert weights.refusal(load("resnet50-smoke-polynorm")) == ""


@pytest.mark.parametrize("name", ["rnn-smoke-relu", "mlp-smoke-relu"])
def test_the_controls_have_matrices_too(made, name):
    assert rows(made(name, steps=(5,)))


def test_singular_values_of_the_newest_checkpoint_are_kept(made):
    of = made("dense-smoke-polynorm", SMALL)
    arrays = found(of).arrays["singular_values"]
    assert set(arrays) == {"up_0", "down_0", "up_1", "down_1"}
    matrix = untrained.weights(of[-1].recipe, 10)["layers.1.mlp.down_proj.weight"]
    torch.testing.assert_close(
        torch.from_numpy(arrays["down_1"][0]), torch.linalg.svdvals(matrix), rtol=1e-5, atol=1e-5
    )


def test_captions_say_why_raw_ranks_are_not_drawn(made):
    figures = found(made("dense-smoke-polynorm")).figures
    assert list(figures) == ["rank_over_layers", "rank_over_training", "singular_values"]
    caption = figures["rank_over_layers"].caption
    assert "must not be compared across shapes" in caption
    assert "96.7% (64 x 264)" in caption
    assert "94.8% (2048 x 5504) for SwiGLU and 96.7% (2048 x 8256) for the others" in caption


def test_of_one_checkpoint_nothing_is_drawn_over_training(made):
    result = found(made("dense-smoke-polynorm", SMALL, steps=(5,)))
    assert "rank_over_training" not in result.figures
    assert "one checkpoint is looked at, so that nothing is drawn over training" in result.remarks


def test_a_table_is_what_the_verb_writes(made):
    """Columns are the same in every row, whatever the family."""
    every = rows(made("moe-smoke-polynorm", SMALL | {"optim.schedule_tokens": 3072}))
    assert len({tuple(row) for row in every}) == 1
