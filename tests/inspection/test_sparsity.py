"""Sparsity of a run: what its tables hold for each kind of decoder, and what it refuses."""

import csv
import math
from dataclasses import replace

import pytest
import torch

from repro.analysis.sparsity.study import SHARES, TAUS
from repro.errors import DataError, RunError
from repro.inspection import sparsity
from repro.inspection.sample import sample
from repro.recipe import load
from repro.training.trained import Trained
from tests.conftest import EXPERTS, SMALL
from tests.interop import untrained

CPU = torch.device("cpu")


@pytest.fixture
def checkpoints(tmp_path):
    """Those of a run whose weights are drawn."""

    def make(name="dense-smoke-polyrelu", **changes):
        settings = SMALL | (EXPERTS if name.startswith("moe") else {}) | changes
        recipe = load(name, [f"{key}={value}" for key, value in settings.items()])
        return Trained.every(untrained.write(recipe, tmp_path / "run"))

    return make


@pytest.fixture
def text(here, dense_once):
    """1,024 held-out tokens in windows of 16; the corpus is the same for every run."""
    return sample(Trained.at(dense_once), CPU, size=1024)


def found(of, text):
    told = []
    result = sparsity.measure(of, text, told.append)
    assert sum(told) == sparsity.work(of, text)
    for name, rows in result.tables.items():
        for row in rows:
            assert row.keys() == rows[0].keys(), name
            assert not [key for key, value in row.items() if isinstance(value, float) and not math.isfinite(value)]
    return result


def test_a_dense_model_has_all_tables(checkpoints, text):
    of = checkpoints()
    tables = found(of, text).tables
    assert set(tables) == {f"sparsity{name}" for name in ("", "_loss", "_predictor", "_reuse", "_machine")}
    assert [(row["step"], row["layer"], row["tau"]) for row in tables["sparsity"]] == [
        (of[-1].step, layer, tau) for layer in (0, 1) for tau in TAUS
    ]
    assert [row["way"] for row in tables["sparsity_machine"]] == ["dense", "known", "computed", "predicted"] * 2
    assert [row["asked"] for row in tables["sparsity_loss"]] == [None, *SHARES, 0.2, None]


def test_thresholds_keep_to_what_was_asked_for_and_hold_elsewhere(checkpoints, text):
    for row in found(checkpoints(), text).tables["sparsity"]:
        assert row["cett"] <= row["tau"]
        assert row["cett_elsewhere"] == pytest.approx(row["tau"], rel=0.1)
        assert 0.4 < row["exact_zeros"] < row["sparsity"] < 1


def test_as_many_neurons_are_left_out_as_asked_for(checkpoints, text):
    rows = found(checkpoints("dense-smoke-swiglu"), text).tables["sparsity_loss"]
    nobody, *others = rows
    assert (nobody["sparsity"], nobody["increase_nats"], nobody["perplexity_ratio"]) == (0, 0, 1)
    for row in others:
        if row["by"] == "length":
            assert row["sparsity"] == pytest.approx(row["asked"], abs=0.02)
        assert row["increase_nats_low"] <= row["increase_nats"] <= row["increase_nats_high"]
        assert row["perplexity_ratio"] == pytest.approx(math.exp(row["increase_nats"]))
        assert row["loss_nats"] == pytest.approx(nobody["loss_nats"] + row["increase_nats"], rel=1e-5)
        assert row["windows"] == 32


def test_bytes_are_those_that_a_layer_reads(checkpoints, text):
    tables = found(checkpoints("dense-smoke-relu"), text).tables
    rows = {row["way"]: row for row in tables["sparsity_machine"] if row["layer"] == 0}
    active = tables["sparsity_reuse"][0]["active"]
    assert rows["dense"]["bytes"] == 4 * 2 * 16 * 48
    assert rows["known"]["bytes"] == pytest.approx(4 * 2 * 16 * active)
    assert rows["computed"]["bytes"] == pytest.approx(4 * 16 * (48 + active))
    told = 2 * (16 + 48) + 48  # of a predictor 2 wide
    assert rows["predicted"]["bytes"] == pytest.approx(4 * (2 * 16 * rows["predicted"]["active"] + told))
    assert all(row["of_dense_us"] > 0 for row in rows.values())


@pytest.mark.parametrize("coefficients", ["layer", "expert"])
def test_experts_have_rows_of_their_own_and_no_predictor(checkpoints, text, coefficients):
    result = found(checkpoints("moe-smoke-polynorm", **{"model.coefficients": coefficients}), text)
    rows = [row for row in result.tables["sparsity_experts"] if row["layer"] == 0]
    assert [row["expert"] for row in rows] == [0, 1, 2, 3]
    assert sum(row["tokens"] for row in rows) == 2 * text.size // 2  # two experts each, on half of the text
    whole = result.tables["sparsity"][2]["sparsity"]
    assert sum(row["tokens"] * row["sparsity"] for row in rows) / text.size == pytest.approx(whole)
    assert "sparsity_predictor" not in result.tables
    assert [row["way"] for row in result.tables["sparsity_machine"]] == ["dense", "known", "computed"] * 2
    assert any("before the router's weight" in remark for remark in result.remarks)


def test_a_gate_finds_some_of_the_active_neurons(checkpoints, text):
    rows = found(checkpoints("dense-smoke-reglu"), text).tables["sparsity_machine"]
    recalls = {row["way"]: row["recall"] for row in rows if row["layer"] == 0}
    assert 0.2 < recalls["computed"] < 1 == recalls["known"]


def test_it_says_that_a_norm_needs_all_rows_of_the_first_matrix(checkpoints, text):
    result = found(checkpoints("dense-smoke-polynorm"), text)
    assert any("rows of the first matrix cannot" in remark for remark in result.remarks)
    rows = {row["way"]: row for row in result.tables["sparsity_machine"] if row["layer"] == 0}
    assert rows["known"]["bytes"] == rows["computed"]["bytes"] < rows["predicted"]["bytes"]


def test_of_matrices_of_low_rank_no_machine_is_said_to_save_what_a_whole_one_would(checkpoints, text):
    result = found(checkpoints(**{"model.ffn_rank": 4}), text)
    assert result.tables["sparsity"]
    assert "sparsity_machine" not in {*result.tables, *result.figures}
    assert any("factors of rank 4" in remark for remark in result.remarks)
    reuse = result.tables["sparsity_reuse"][0]
    new = (1 - reuse["reuse"]) * reuse["active"]
    assert reuse["new_bytes"] == pytest.approx(new * 4 * 2 * 4)  # float32, two matrices, the rank


def test_an_ffn_that_gives_nothing_could_do_without_all(checkpoints, text, monkeypatch):
    of = checkpoints()
    network = of[-1].network(CPU)
    network.layers[0].mlp.down_proj.weight.zero_()
    monkeypatch.setattr(Trained, "network", lambda self, device: network)
    tables = found(of, text).tables
    assert [row["sparsity"] for row in tables["sparsity"] if row["layer"] == 0] == [1.0] * 4
    assert tables["sparsity_predictor"][0]["recall"] is None
    assert tables["sparsity_reuse"][0]["reuse"] is None


def test_two_windows_give_no_interval_and_it_says_so(checkpoints, text):
    two = replace(text, inputs=text.inputs[:2], targets=text.targets[:2])
    result = found(checkpoints(), two)
    assert result.tables["sparsity_loss"][3]["increase_nats_low"] is None
    assert any("one window has no interval" in remark for remark in result.remarks)


def test_one_window_is_refused(checkpoints, text):
    one = replace(text, inputs=text.inputs[:1], targets=text.targets[:1])
    with pytest.raises(DataError, match=r"one window.*; expected tokens=32 or more$"):
        sparsity.measure(checkpoints(), one, lambda _: None)


def test_losses_that_are_no_numbers_are_refused(checkpoints, text, monkeypatch):
    of = checkpoints()
    network = of[-1].network(CPU)
    network.layers[0].mlp.down_proj.weight[0, 0] = math.nan
    monkeypatch.setattr(Trained, "network", lambda self, device: network)
    with pytest.raises(RunError, match=r"losses are not finite, so no neuron can be missed$"):
        sparsity.measure(of, text, lambda _: None)


def test_losses_of_either_half_are_looked_at(checkpoints, text, monkeypatch):
    of = checkpoints()
    network = of[-1].network(CPU)
    fitted, others = (set(half.unique().tolist()) for half in (text.inputs[1::2], text.inputs[::2]))
    network.embed_tokens.weight[min(fitted - others)] = math.inf
    monkeypatch.setattr(Trained, "network", lambda self, device: network)
    with pytest.raises(RunError, match=r"losses are not finite, so no neuron can be missed$"):
        sparsity.measure(of, text, lambda _: None)


@pytest.fixture
def ladder(tmp_path, text):
    """Looks into runs that lie where runs lie, and leaves the table that a run has of it."""

    def look(*sizes):
        for layers, seed in sizes:
            recipe = load("dense-smoke-relu", [f"{k}={v}" for k, v in (SMALL | {"model.n_layers": layers}).items()])
            folder = untrained.write(recipe, tmp_path / "runs" / recipe.name / f"print{layers}" / f"seed-{seed}")
            result = sparsity.measure(Trained.every(folder), text, lambda _: None)
            (folder / "analysis").mkdir()
            with (folder / "analysis" / "sparsity.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, list(result.tables["sparsity"][0]))
                writer.writeheader()
                writer.writerows(result.tables["sparsity"])
        return result

    return look


def test_runs_of_other_sizes_are_set_beside_it(ladder, tmp_path):
    alone = ladder((2, 0), (2, 1))
    assert "sparsity_sizes" not in {*alone.tables, *alone.figures}
    broken = tmp_path / "runs" / "other" / "print" / "seed-0" / "analysis"
    broken.mkdir(parents=True)
    (broken / "sparsity.csv").write_text("step,tau\nhalf a ro")
    result = ladder((1, 0))
    small, large = result.tables["sparsity_sizes"]
    assert (small["runs"], large["runs"]) == (1, 2)
    assert large["parameters"] > small["parameters"]
    own = [row["sparsity"] for row in result.tables["sparsity"] if row["tau"] == 0.2]
    assert small["sparsity"] == pytest.approx(sum(own) / len(own))
    others = [row["sparsity"] for row in alone.tables["sparsity"] if row["tau"] == 0.2]
    assert large["sparsity"] == pytest.approx(sum(others) / len(others))  # both seeds have the same weights here
    assert "dense-smoke-relu: 2 runs" in result.figures["sparsity_sizes"].caption


@pytest.mark.parametrize("name", ["resnet50-smoke-polynorm", "mlp-smoke-polynorm", "rnn-smoke-polynorm"])
def test_networks_without_an_ffn_are_refused(name):
    assert (
        sparsity.refusal(load(name))
        == "it looks at the neurons between the matrices of an FFN, which only decoders have"
    )


@pytest.mark.parametrize("name", ["dense-smoke-swiglu", "moe-smoke-polynorm"])
def test_decoders_are_not(name):
    assert sparsity.refusal(load(name)) == ""
