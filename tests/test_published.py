"""The published numbers agree with each other as far as the paper's own arithmetic goes."""

import csv
import math

import pytest

from repro import paths

TASKS = ("arc_easy", "arc_challenge", "hellaswag", "piqa", "sciq", "winogrande")
ARMS = ("swiglu", "gelu", "relu", "polyrelu", "polynorm")


@pytest.fixture(scope="module")
def table1():
    with (paths.data() / "published" / "table1.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(row["unit"] and row["split"] and row["metric"] for row in rows)
    return {(row["activation"], row["quantity"]): float(row["value"]) for row in rows}


@pytest.mark.parametrize("arm", ARMS)
def test_the_printed_average_is_that_of_the_six_tasks(table1, arm):
    mean = sum(table1[arm, task] for task in TASKS) / 6
    assert mean == pytest.approx(table1[arm, "average"], abs=0.005 + 0.005)  # each task and the mean are rounded


def test_polynorm_leads_swiglu_by_the_121_hundredths_of_the_text(table1):
    assert table1["polynorm", "average"] - table1["swiglu", "average"] == pytest.approx(1.21, abs=0.01)


@pytest.mark.parametrize("arm", ARMS)
def test_the_printed_perplexity_is_not_that_of_the_printed_loss(table1, arm):
    assert math.exp(table1[arm, "train_loss"]) > 2 * table1[arm, "ppl"]
