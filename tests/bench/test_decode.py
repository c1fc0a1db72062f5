"""The benchmark of writing: both phases of every activation take turns; how fast is not a test's business."""

import csv
import statistics

import pytest
import torch

from repro import cli
from repro.bench import decode, timing
from repro.bench.decode import ACTIVATIONS, Arm, Case, Cost
from repro.bench.timing import Timing, TurnFailed
from repro.recipe import load

CASE = Case("dense-smoke", 2, 12, 3)
CPU = torch.device("cpu")


@pytest.fixture
def few(monkeypatch):
    """Three rounds."""
    monkeypatch.setattr(timing, "LEAST", 3)
    monkeypatch.setattr(timing, "WARM_UP", 1)
    monkeypatch.setattr(decode, "SECONDS", 0.0)
    monkeypatch.setattr(decode, "CASES", {"cpu": (CASE,)})


@pytest.fixture
def read():
    """An arm, and the shapes of what its network reads."""
    arm, shapes = Arm(CASE, "polynorm", CPU), []
    arm.network.embed_tokens.register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0].shape)))
    return arm, shapes


def test_a_prompt_is_read_at_once_and_gone_on_with_token_by_token(read):
    arm, shapes = read
    for _ in range(2):
        shapes.clear()
        assert len(arm.turn("prefill")()()) == 1
        assert len(arm.turn("decode")()()) == CASE.tokens
        assert shapes == [(2, 12), (2, 1), (2, 1), (2, 1)]
        assert arm.read.cache.length == CASE.prompt + CASE.tokens


def test_each_decode_goes_on_with_the_prompt_alone(read):
    arm, _ = read
    arm.turn("prefill")()()
    first, again = (arm.turn("decode")()() for _ in range(2))
    assert first == again


def test_weights_are_not_learned_and_those_of_the_recipe(read):
    arm, _ = read
    assert not any(weight.requires_grad for weight in arm.network.parameters())
    assert type(arm.network.layers[0].mlp.act_fn).__name__ == "PolyNorm"


def test_rows_are_of_every_activation_in_both_phases(few, capsys, tmp_path):
    assert cli.status(["bench", "decode", "--out", str(tmp_path)]) == 0
    rows = list(csv.DictReader((tmp_path / "bench-decode.csv").read_text().splitlines()))
    assert [(row["phase"], row["activation"]) for row in rows] == [
        (phase, activation) for phase in ("prefill", "decode") for activation in ACTIVATIONS
    ]
    model = load("dense-smoke-swiglu").model
    cache = 2 * model.n_layers * CASE.batch * (CASE.prompt + CASE.tokens) * model.d_model * 4
    for row in rows:
        assert (row["scale"], row["batch"], row["dtype"], row["rounds"]) == ("dense-smoke", "2", "float32", "3")
        assert int(row["cache_bytes"]) == cache
        assert int(row["weights_bytes"]) > 4 * model.vocab_size * model.d_model
        assert row["peak_bytes"] == ""
        assert float(row["tokens_per_s"]) > 0
    said = capsys.readouterr().out
    assert "dense-smoke, batch 2, 3 tokens after 12, float32, medians of 3 rounds" in said
    assert said.count("100.0%") >= 2


@pytest.mark.parametrize(("phase", "tokens"), [("prefill", 2 * 12), ("decode", 2 * 3)])
def test_tokens_a_second_are_of_the_whole_batch(phase, tokens):
    assert Cost(CASE, "relu", phase, Timing(500.0, 1, 1, 3), 1.0, "", 0, 0, None).tokens_per_s == 2 * tokens


def test_an_activation_is_held_against_the_first_round_by_round():
    """Of medians alone a machine that was slow for some rounds would tell another story."""
    arm = Arm(CASE, "polynorm", CPU)
    times, base = [2.0, 20.0, 4.0], [1.0, 10.0, 4.0]
    assert arm.cost("decode", times, base).relative == 0.5 != statistics.median(base) / statistics.median(times)


def test_a_gpu_that_is_too_small_is_told_and_nothing_else_is_forgiven(few, capsys, monkeypatch):
    def fails_of(cause):
        def measure(*_, **__):
            raise TurnFailed("a turn") from cause

        monkeypatch.setattr(decode, "measure", measure)

    fails_of(torch.OutOfMemoryError("full"))
    assert cli.status(["bench", "decode"]) == 0
    assert f"{CASE}: not measured, the networks do not fit into the memory of the GPU" in capsys.readouterr().out
    fails_of(ValueError("wrong"))
    with pytest.raises(TurnFailed):
        cli.status(["bench", "decode"])
