"""What is written beside a run: for people and for programs, replaced and not doubled."""

import csv
import json
from dataclasses import replace

import pytest
import torch

from repro.errors import RunError
from repro.evaluation import results
from repro.evaluation.tasks.harness import TaskResult
from repro.recipe import fingerprint

ROW = {"set": "c4", "subset": "c4", "nats_per_token": 2.5, "tokens_asked": None}


@pytest.fixture
def folder(small, tmp_path):
    """A run's, as far as results need one."""
    import yaml

    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(small().model_dump(mode="json")))
    return tmp_path


def in_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_says_where_it_comes_from(folder, small):
    results.write_losses(folder, 10, [ROW])
    (row,) = results.read(folder, "losses")
    assert (row["step"], row["tokens_seen"]) == (10, 10 * 128)
    assert (row["recipe"], row["recipe_fingerprint"]) == (small().name, fingerprint(small()))
    assert {"device", "repro", "torch", "date"} <= row.keys()
    assert row["versions"]["numpy"]
    (shown,) = in_csv(folder / "evaluation" / "losses.csv")
    assert (shown["step"], shown["nats_per_token"], shown["repro"]) == ("10", "2.5", row["repro"])
    assert "versions" not in shown


def test_units_stand_with_the_numbers(folder):
    results.write_losses(folder, 10, [ROW])
    units = json.loads((folder / "evaluation" / "losses.json").read_text())["units"]
    assert units["nats_per_token"].startswith("nats per token")
    assert "names neither its set nor its unit" in units["comparable"]


def test_a_checkpoint_that_is_evaluated_again_replaces_its_rows_of_that_set_alone(folder):
    results.write_losses(folder, 20, [ROW, ROW | {"subset": "other"}])
    results.write_losses(folder, 10, [ROW])
    results.write_losses(folder, 20, [ROW | {"set": "wikipedia"}])
    results.write_losses(folder, 20, [ROW | {"nats_per_token": 2.0}])
    rows = [(row["step"], row["set"], row["nats_per_token"]) for row in results.read(folder, "losses")]
    assert rows == [(10, "c4", 2.5), (20, "wikipedia", 2.5), (20, "c4", 2.0)]
    assert len(in_csv(folder / "evaluation" / "losses.csv")) == 3


def test_what_is_not_finite_is_null_for_programs_and_empty_for_people(folder):
    results.write_losses(folder, 10, [ROW | {"nats_per_token": float("nan")}])
    assert results.read(folder, "losses")[0]["nats_per_token"] is None
    assert in_csv(folder / "evaluation" / "losses.csv")[0]["nats_per_token"] == ""


PIQA = TaskResult(
    task="piqa",
    table="Table 1",
    split="validation",
    items=2,
    metric="acc",
    value=0.5,
    error=0.35,
    metrics={"acc": 0.5, "acc_norm": 1.0, "cut": 0.25},
    rows=[{"id": 0, "acc": 1}, {"id": 1, "acc": 0}],
    context=64,
    fingerprint="0f",
)


def test_tasks_are_written_with_each_item(folder):
    results.write_tasks(folder, 10, [PIQA, replace(PIQA, task="sciq")], limit=2, device=torch.device("cpu"))
    rows = results.read(folder, "tasks")
    assert [(row["task"], row["value"], row["limit"]) for row in rows] == [("piqa", 0.5, 2), ("sciq", 0.5, 2)]
    assert rows[0]["metrics"] == PIQA.metrics
    assert (rows[0]["context"], rows[0]["task_fingerprint"]) == (64, "0f")
    items = (folder / "evaluation" / "step-00000010" / "piqa.jsonl").read_text().splitlines()
    assert [json.loads(line)["acc"] for line in items] == [1, 0]


def test_metrics_of_tasks_have_columns_that_are_empty_where_a_task_has_none(folder):
    results.write_tasks(folder, 10, [replace(PIQA, task="coqa", metrics={"f1": 0.5, "cut": 0.0}), PIQA])
    first, second = in_csv(folder / "evaluation" / "tasks.csv")
    assert [first[name] for name in ("acc", "acc_norm", "cut")] == ["", "", "0.0"]
    assert [second[name] for name in ("acc", "acc_norm", "cut")] == ["0.5", "1.0", "0.25"]
    assert "metrics" not in first


def test_a_damaged_file_is_told_in_a_line_and_left(folder):
    path = folder / "evaluation" / "losses.json"
    path.parent.mkdir()
    path.write_text('{"rows": [')
    with pytest.raises(RunError, match=r"losses\.json is damaged; remove it"):
        results.write_losses(folder, 10, [ROW])
    assert path.read_text() == '{"rows": ['


def test_a_full_disk_leaves_what_was_there(folder, monkeypatch):
    results.write_losses(folder, 10, [ROW])
    before = (folder / "evaluation" / "losses.json").read_bytes()

    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(results, "write_whole", full)
    with pytest.raises(OSError, match="No space left"):
        results.write_losses(folder, 20, [ROW])
    assert (folder / "evaluation" / "losses.json").read_bytes() == before


def test_there_are_no_rows_before_anything_is_evaluated(folder):
    assert results.read(folder, "losses") == results.read(folder, "tasks") == results.read(folder, "images") == []
