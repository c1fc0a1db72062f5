"""Differences between recipes, paired by seed and never between unlike things."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from repro.claims import start
from repro.claims.compare import compare, read
from repro.errors import RunError


@pytest.fixture
def runs(tmp_path):
    """Writes finished runs of a recipe whose validation losses are given by seed."""

    def write(name, losses, *, data="d0", finished=True, budget="tokens: 100", diverged=()):
        for seed, values in losses.items():
            folder = tmp_path / name / f"seed-{seed}"
            folder.mkdir(parents=True)
            (folder / "recipe.yaml").write_text(f"name: {name}\nbudget: {{{budget}}}\n")
            (folder / "versions.json").write_text(json.dumps({"data": data}))
            np.save(folder / "validation.npy", np.array([[9.0] * len(values), values], dtype=np.float32))
            if finished:
                step = dict(diverged).get(seed)
                (folder / "result.json").write_text(json.dumps({"diverged_at": step} if step else {}))
        return tmp_path / name

    return write


def shown(pairs):
    console = Console(width=80, file=io.StringIO())
    console.print(start._table(pairs))
    return console.file.getvalue()


def test_the_difference_is_that_of_the_last_validation_seed_by_seed(runs):
    a = read(runs("a", {0: [1.0, 2.0], 1: [2.0, 2.0]}))
    b = read(runs("b", {0: [2.0, 2.0], 1: [2.0, 4.0], 2: [0.0, 0.0]}))
    (pair,) = compare([a, b])
    assert (pair.a, pair.b) == ("a", "b")
    assert pair.differences == {0: -0.5, 1: -1.0}


def test_a_run_of_a_version_without_a_key_does_not_differ_in_it(runs):
    """As what it did: without a mixture, a filter and a mask."""
    old, new = runs("old", {0: [1.0]}), runs("new", {0: [2.0]})
    keys = "data: {mixture: null, repetition: null, document_mask: false}\n"
    with (new / "seed-0" / "recipe.yaml").open("a") as file:
        file.write(keys)
    assert compare([read(old), read(new)])[0].also == ()


def test_the_keys_of_the_json_stay_and_what_needs_statistics_is_null(runs):
    (pair,) = compare([read(runs("a", {0: [1.0]})), read(runs("b", {0: [2.0]}))])
    row = pair.row()
    assert {
        "a",
        "b",
        "verdict",
        "difference",
        "interval",
        "p",
        "p_adjusted",
        "pairs",
        "smallest_detectable",
    } <= row.keys()
    assert (row["difference"], row["pairs"], row["verdict"], row["p"]) == (-1.0, 1, None, None)


def test_several_arms_give_every_pair(runs):
    arms = [read(runs(name, {0: [1.0]})) for name in "abc"]
    assert [(pair.a, pair.b) for pair in compare(arms)] == [("a", "b"), ("a", "c"), ("b", "c")]


def test_a_run_folder_of_one_seed_is_an_arm(runs):
    assert list(read(runs("a", {0: [1.0], 7: [1.0]}) / "seed-7").losses) == [7]


def test_a_run_that_has_not_finished_is_no_evidence(runs):
    with pytest.raises(RunError, match="holds no finished run; `repro run` starts one"):
        read(runs("a", {0: [1.0]}, finished=False))


def test_arms_without_a_common_seed_are_refused(runs):
    with pytest.raises(RunError, match=r"a has seeds \[0\] and b has \[1\]: no seed in common"):
        compare([read(runs("a", {0: [1.0]})), read(runs("b", {1: [1.0]}))])


@pytest.mark.parametrize(("values", "data"), [([1.0, 1.0], "d0"), ([1.0], "d1")], ids=["more sequences", "other data"])
def test_losses_of_different_sequences_are_not_compared(runs, values, data):
    with pytest.raises(RunError, match="validated on different data"):
        compare([read(runs("a", {0: [1.0]})), read(runs("b", {0: values}, data=data))])


def test_runs_of_one_recipe_on_different_data_are_not_averaged(runs):
    runs("a", {0: [1.0]})
    with pytest.raises(RunError, match=r"were trained on different data \(d0, d1\)"):
        read(runs("a", {1: [1.0]}, data="d1"))


def test_recipes_that_differ_in_more_than_the_activation_are_told_apart(runs):
    (pair,) = compare([read(runs("a", {0: [1.0]})), read(runs("b", {0: [2.0]}, budget="tokens: 200"))])
    assert pair.also == ("budget.tokens",)
    (same,) = compare([read(runs("c", {0: [1.0]})), read(runs("d", {0: [2.0]}))])
    assert same.also == ()


@pytest.mark.parametrize("file", ["versions.json", "recipe.yaml", "validation.npy"])
def test_a_run_with_a_file_missing_or_broken_is_told_in_a_line(runs, file):
    folder = runs("a", {0: [1.0]})
    (folder / "seed-0" / file).write_bytes(b"\0")
    with pytest.raises(RunError, match=r"the runs in .* cannot be read"):
        read(folder)
    (folder / "seed-0" / file).unlink()
    with pytest.raises(RunError, match="cannot be read"):
        read(folder)


def test_a_run_that_diverged_is_told_with_its_step_and_gives_no_difference(runs):
    a = read(runs("a", {0: [1.0], 1: [2.0]}))
    b = read(runs("b", {0: [3.0], 1: [9.0]}, diverged={1: 1500}))
    (pair,) = compare([a, b])
    row = json.loads(json.dumps(pair.row(), allow_nan=False))
    assert (row["difference"], row["pairs"], row["by_seed"]) == (None, 1, {"0": -2.0, "1": None})
    assert row["without"] == {"1": "b diverged at step 1,500"}
    assert "none  0: -2.0000  1: b diverged at step 1,500" in shown([pair])


def test_a_run_that_diverged_needs_no_validation(runs):
    folder = runs("a", {0: [1.0]}, diverged={0: 15})
    (folder / "seed-0" / "validation.npy").unlink()
    (pair,) = compare([read(folder), read(runs("b", {0: [1.0]}, diverged={0: 3}))])
    assert pair.without == {0: "a diverged at step 15, b diverged at step 3"}
    assert pair.difference is None


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_validation_that_is_not_finite_gives_no_difference(runs, loss):
    (pair,) = compare([read(runs("a", {0: [1.0, loss]})), read(runs("b", {0: [1.0, 2.0]}))])
    assert (pair.difference, pair.without) == (None, {0: "a is not finite"})
    assert "nan" not in shown([pair])
    assert "a is not finite" in shown([pair])


@pytest.mark.parametrize(("budget", "unit"), [("epochs: 10", "image"), ("tokens: 100", "token")])
def test_a_loss_is_that_of_an_image_or_of_a_token(runs, budget, unit):
    pairs = compare([read(runs(name, {0: [1.0]}, budget=budget)) for name in "ab"])
    assert f"validation loss, nats per {unit} " in shown(pairs)


def test_a_difference_beyond_all_bounds_is_told_shortly(runs):
    (pair,) = compare([read(runs("a", {0: [2.2406787e16]})), read(runs("b", {0: [1.0]}))])
    assert "0: +2.241e+16" in shown([pair])
