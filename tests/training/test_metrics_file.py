"""The files of metrics and of magnitudes keep their history over a resume."""

import math

import pytest

from repro.recipe.runs import read_metrics
from repro.training.magnitudes_file import MagnitudesFile
from repro.training.metrics_file import COLUMNS, MetricsFile


def test_rows_before_a_resume_stay_and_those_after_its_checkpoint_go(tmp_path):
    path = tmp_path / "metrics.csv"
    first = MetricsFile(path, resumed_at=0)
    for step in (10, 20, 30):
        first.log_metrics({"loss": 1 / step}, step)
    MetricsFile(path, resumed_at=20).log_metrics({"loss": 0.5}, 30)
    assert [(row["step"], row["loss"]) for row in read_metrics(path)] == [("10", "0.1"), ("20", "0.05"), ("30", "0.5")]


def test_a_number_is_written_so_that_it_reads_back_equal(tmp_path):
    file = MetricsFile(tmp_path / "metrics.csv", resumed_at=0)
    file.log_metrics({"loss": 0.1 + 0.2, "lr": 1e-300}, 1)
    (row,) = read_metrics(file.path)
    assert (float(row["loss"]), float(row["lr"])) == (0.1 + 0.2, 1e-300)


def test_a_fresh_start_forgets_an_earlier_run_that_saved_nothing(tmp_path):
    path = tmp_path / "metrics.csv"
    MetricsFile(path, resumed_at=0).log_metrics({"loss": 1.0}, 10)
    MetricsFile(path, resumed_at=0)
    assert path.read_text() == ",".join(COLUMNS) + "\n"


def test_what_has_no_column_is_left_to_tensorboard(tmp_path):
    file = MetricsFile(tmp_path / "metrics.csv", resumed_at=0)
    file.log_metrics({"coefficients/layers.0/1": 0.3}, 10)
    assert read_metrics(file.path) == []


@pytest.mark.parametrize("torn", ["3", "30,1", "\0\0\0\0"], ids=["half a step", "half a row", "power loss"])
def test_a_row_that_a_crash_cut_short_is_dropped(tmp_path, torn):
    path = tmp_path / "metrics.csv"
    MetricsFile(path, resumed_at=0).log_metrics({"loss": 0.5}, 10)
    with path.open("a") as file:
        file.write(torn)
    assert [row["step"] for row in read_metrics(path)] == ["10"]
    MetricsFile(path, resumed_at=40).log_metrics({"loss": 0.25}, 50)
    assert [row["step"] for row in read_metrics(path)] == ["10", "50"]


def sizes(step):
    return {"magnitude/layers.0.act": 1 / step, "magnitude/layers.1.act": 2.0, "largest_magnitude": 2.0}


def test_magnitudes_have_a_column_a_layer_and_go_on_after_a_resume(tmp_path):
    path = tmp_path / "magnitudes.csv"
    first = MagnitudesFile(path, resumed_at=0)
    for step in (1, 10, 20):
        first.log_metrics(sizes(step), step)
    MagnitudesFile(path, resumed_at=10).log_metrics(sizes(25), 20)
    assert path.read_text() == "step,layers.0.act,layers.1.act\n1,1.0,2.0\n10,0.1,2.0\n20,0.04,2.0\n"


def test_a_fresh_start_forgets_the_magnitudes_of_another_network(tmp_path):
    path = tmp_path / "magnitudes.csv"
    MagnitudesFile(path, resumed_at=0).log_metrics(sizes(1), 1)
    MagnitudesFile(path, resumed_at=0).log_metrics({"magnitude/act": math.inf}, 1)
    assert path.read_text() == "step,act\n1,inf\n"


def test_a_run_that_measures_no_magnitudes_has_no_file_of_them(tmp_path):
    MagnitudesFile(tmp_path / "magnitudes.csv", resumed_at=0).log_metrics({"loss": 1.0}, 10)
    assert list(tmp_path.iterdir()) == []
