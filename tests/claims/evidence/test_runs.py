"""A run as a row: from the files of its folder, and nothing else."""

import csv
import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import yaml

from repro.claims.evidence import cells, runs
from repro.errors import RunError
from repro.recipe import fingerprint, load

PLACE = {"study": "made", "form": "smoke", "rung": "smoke", "role": "main", "arm": "polynorm", "factor": 2}
VERSIONS = {
    "python": "3.11.7",
    "repro": "0.1.0+0ce561f",
    "torch": "2.15.0",
    "lightning": "2.6.6",
    "triton": "3.9.0",
    "device": "AMD EPYC",
    "data": "9cfb50ba3a57",
}
MACHINE = {"accelerator": "cpu", "nodes": 1, "devices": 1}


def table(path, rows):
    columns = dict.fromkeys(column for row in rows for column in row)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def metrics(steps=250, every=10, images=False):
    """A loss that falls by 0.001 a step, a speed that rises, and validations at the quarters."""
    count, rate = ("samples", "samples_per_second") if images else ("tokens", "tokens_per_second")
    rows = [
        {"step": step, count: step, "loss": 8 - step / 1000, rate: 1000.0 + step, "memory_gb": 1.0 + step / 1000}
        for step in range(every, steps + 1, every)
    ]
    validations = [{"step": steps * q // 4, "validation_loss": 8.1 - q * steps / 4000} for q in range(1, 5)]
    return sorted([*rows, *validations], key=lambda row: row["step"])


@pytest.fixture
def a_run(tmp_path):
    """Writes the folder of a finished run."""

    def write(name="dense-smoke-polynorm", overrides=(), *, machine=MACHINE, rows=None, **result):
        recipe, folder = load(name, overrides), tmp_path / "seed-3"
        folder.mkdir()
        rows = metrics(recipe.steps) if rows is None else rows
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
        (folder / "origin.yaml").write_text(yaml.safe_dump(recipe.origin))
        (folder / "machine.yaml").write_text(yaml.safe_dump(machine))
        (folder / "versions.json").write_text(json.dumps(VERSIONS))
        table(folder / "metrics.csv", rows)
        np.save(folder / "validation.npy", np.array([[7.0, 9.0], [7.0, 8.0]], dtype=np.float32))
        made = {"steps": recipe.steps, "skipped_steps": 4.0, "validation_loss": 7.5, "date": "2026-11-22"}
        (folder / "result.json").write_text(json.dumps(made | result))
        return folder

    return write


def test_what_it_was_and_what_it_came_to(a_run):
    row = runs.row(a_run(), **PLACE)
    assert {name: getattr(row, name) for name in PLACE} == PLACE
    assert isinstance(row.factor, float)
    assert (row.recipe, row.overrides, row.seed, row.lr) == ("dense-smoke-polynorm", "", 3, 0.01)
    assert row.fingerprint == fingerprint(load("dense-smoke-polynorm"))
    assert (row.steps, row.tokens, row.skipped_steps, row.spikes) == (250, 256_000, 4, 0)
    assert row.validation_loss == 7.5  # of validation.npy
    assert row.train_loss == pytest.approx(8 - 0.245)  # of steps 240 and 250: a twentieth are 12.5
    assert (row.tokens_per_second, row.seconds) == (1140.0, 256_000 / 1140)  # the median of steps 30 to 250
    assert row.memory_gb == 1.25
    assert (row.diverged_at, row.top1, row.largest_magnitude, row.largest_stable_factor) == (None,) * 4
    assert (row.parameters, row.ffn_matrices) == (624_968, 2 * 2 * 64 * 264)
    assert row.flops == 256_000 * 6 * (2 * (4 * 64**2 + 2 * 64 * 264) + 4096 * 64 + 2 * 64 * 64)


def test_where_it_comes_from(a_run):
    row = runs.row(a_run(), **PLACE)
    named = {name: getattr(row, name) for name in VERSIONS}
    assert named == VERSIONS
    assert (row.precision, row.date) == ("float32", "2026-11-22")  # a CPU computes in float32, whatever the recipe says


def test_several_gpus_are_another_device_than_one(a_run):
    row = runs.row(a_run(machine={"accelerator": "cuda", "nodes": 2, "devices": 8}), **PLACE)
    assert (row.precision, row.device) == ("bf16", "16 x AMD EPYC")


def test_what_was_set_is_told_without_the_rate_and_without_what_changes_no_number(a_run):
    given = ["lr=0.02", "model.n_layers=1", "betas=[0.9, 0.99]", "workers=1", "layout.compile=true"]
    row = runs.row(a_run(overrides=given), **PLACE)
    assert (row.overrides, row.lr) == ("model.n_layers=1 optim.betas=[0.9,0.99]", 0.02)


def test_a_run_of_images_counts_images_and_has_no_ffn(a_run):
    row = runs.row(a_run("resnet50-smoke-relu", rows=metrics(300, images=True), top1=0.84), **PLACE)
    assert (row.steps, row.tokens, row.top1, row.ffn_matrices) == (300, 300 * 62, 0.84, None)
    assert row.tokens_per_second == 1170.0


def test_a_run_that_diverged_has_no_loss_and_counts_what_it_was_trained_for(a_run):
    folder = a_run(rows=metrics()[:6], steps=50, diverged_at=41, validation_loss=7.9)
    (folder / "validation.npy").unlink()
    row = runs.row(folder, **PLACE)
    assert (row.diverged_at, row.steps, row.tokens) == (41, 50, 51_200)
    assert (row.validation_loss, row.train_loss) == (None, None)


def test_a_validation_that_is_not_finite_is_no_loss(a_run):
    folder = a_run(validation_loss=None)
    np.save(folder / "validation.npy", np.array([[np.nan, 1.0]]))
    assert runs.row(folder, **PLACE).validation_loss is None


def test_a_run_of_an_earlier_version_has_the_day_on_which_its_result_was_written(a_run):
    folder = a_run(date=None)
    os.utime(folder / "result.json", (0, 86_400.0))
    assert runs.row(folder, **PLACE).date == "1970-01-02"


def test_its_curve_is_of_its_validations_and_the_row_has_its_digest(a_run):
    folder = a_run()
    row = runs.row(folder, **PLACE)
    curve = runs.curve(folder, row)
    assert (curve.arm, curve.rung, curve.seed, curve.factor) == ("polynorm", "smoke", 3, 2.0)
    assert curve.steps == (62, 125, 187, 250)
    assert curve.tokens == (62 * 1024, 125 * 1024, 187 * 1024, 256_000)
    assert curve.seconds[-1] == row.seconds
    assert curve.validation_loss == (8.0375, 7.975, 7.9125, 7.85)
    assert curve.train_loss[-1] == row.train_loss
    assert curve.train_loss[0] == pytest.approx(8 - 0.055)  # of steps 50 and 60, in the twentieth before 62
    assert row.curve == cells.curve_digest(curve)


def test_a_long_curve_is_thinned(a_run):
    rows = [{"step": step, "validation_loss": 8.0, "tokens_per_second": 1.0, "loss": 8.0} for step in range(1, 251)]
    folder = a_run(rows=rows)
    curve = runs.curve(folder, runs.row(folder, **PLACE))
    assert (len(curve.steps), curve.steps[0], curve.steps[-1]) == (60, 1, 250)


def test_what_an_analysis_found_is_taken_from_its_tables(a_run):
    folder = a_run()
    assert (runs.row(folder, **PLACE).normalised_rank, runs.row(folder, **PLACE).similarity) == (None, None)
    (folder / "analysis").mkdir()
    ranks = [(200, 0, 0.1), (250, 0, 0.9), (250, 0, 0.7), (250, 0, 0.5), (250, 1, 0.9)]
    keys = ("step", "layer", "normalised_rank")
    table(folder / "analysis" / "weights.csv", [dict(zip(keys, each, strict=True)) for each in ranks])
    streams = [(200, "stream", "all", 0.1), (250, "centred stream", "all", 0.2), (250, "stream", "without", 0.3)]
    keys = ("step", "name", "tokens", "mean")
    rows = [dict(zip(keys, each, strict=True)) for each in (*streams, (250, "stream", "all", 0.4))]
    table(folder / "analysis" / "similarity.csv", rows)
    row = runs.row(folder, **PLACE)
    assert (row.normalised_rank, row.similarity) == (pytest.approx((0.7 + 0.9) / 2), 0.4)


def test_what_an_analysis_found_of_neurons_and_powers_is_taken_from_its_tables(a_run):
    """Of the newest checkpoint: shares at a CETT of 0.2, the loss with nine tenths left out, the worst activation."""
    folder = a_run()
    (folder / "analysis").mkdir()

    def analysed(name, columns, *rows):
        table(folder / "analysis" / f"{name}.csv", [dict(zip(columns.split(), row, strict=True)) for row in rows])

    analysed("sparsity", "step tau sparsity", (200, 0.2, 0.1), (250, 0.1, 0.2), (250, 0.2, 0.8), (250, 0.2, 0.9))
    losses = [(250, "nobody", "", 0), (250, "length", 0.8, 1), (250, "length", 0.9, 2), (250, "CETT", 0.2, 3)]
    analysed("sparsity_loss", "step by asked increase_nats", *losses, (250, "predictor", "", 4))
    analysed("sparsity_predictor", "step recall", (250, 0.5), (250, 0.7))
    powers = [(250, "bfloat16", 0.9), (250, "float16", 0.1), (250, "float16", 0.3), (200, "float16", 0.7)]
    analysed("overflow", "step format overflow_share", *powers)
    row = runs.row(folder, **PLACE)
    assert (row.inactive, row.recall) == (pytest.approx(0.85), pytest.approx(0.6))
    assert (row.loss_at_90, row.overflow_fp16) == (2, 0.3)


def test_an_analysis_that_lacks_a_table_or_a_line_is_told(a_run):
    folder = a_run()
    (folder / "analysis").mkdir()
    table(folder / "analysis" / "sparsity_loss.csv", [{"step": 250, "by": "nobody", "asked": "", "increase_nats": 0}])
    with pytest.raises(RunError, match="is damaged"):
        runs.row(folder, **PLACE)


def test_what_has_not_finished_or_is_of_others_is_no_row(a_run):
    folder = a_run()
    (folder / "imported.yaml").write_text("{}")
    with pytest.raises(RunError, match="holds weights that others trained"):
        runs.row(folder, **PLACE)
    (folder / "imported.yaml").unlink()
    (folder / "result.json").unlink()
    with pytest.raises(RunError, match=r"is not finished: it has no result\.json; the same `repro run` goes on"):
        runs.row(folder, **PLACE)


FILES = ("recipe.yaml", "origin.yaml", "machine.yaml", "metrics.csv", "result.json", "versions.json", "validation.npy")


@pytest.mark.parametrize(
    "content", [None, b"", b"\0\xff", b"[]", b"a: ["], ids=["gone", "empty", "bytes", "list", "cut"]
)
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_told_in_a_line(a_run, file, content):
    folder = a_run()
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    if file == "origin.yaml" and content == b"":
        return  # nothing in it was set
    with pytest.raises(RunError, match=r"seed-3 is (damaged|not finished)") as error:
        runs.row(folder, **PLACE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("column", ["loss", "validation_loss", "tokens_per_second", "memory_gb"])
def test_a_number_that_is_none_is_told_in_a_line(a_run, column):
    folder = a_run()
    rows = metrics()
    next(row for row in rows if column in row)[column] = "abc"
    table(folder / "metrics.csv", rows)
    with pytest.raises(RunError, match=r"is damaged \(ValueError: could not convert string to float: 'abc'\)"):
        runs.row(folder, **PLACE)


def test_a_row_is_made_without_torch():
    code = "import sys; from repro.claims.evidence import judging, runs, store; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_column_says_what_it_is(a_run):
    row = dataclasses.asdict(runs.row(a_run(), **PLACE))
    documented = " ".join(cells.Row.__doc__.replace(",", " ").replace(":", " ").replace(";", " ").split())
    assert [name for name in row if f" {name} " not in documented] == []
