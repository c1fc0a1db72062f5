"""The published numbers agree with each other as far as the paper's own arithmetic goes, read and added up plainly."""

import csv
import math
from collections import defaultdict

import pytest

from repro import paths
from repro.data.tasks.facts import facts
from repro.recipe.reading import read

FOLDER = paths.data() / "published"
TASKS = ("arc_easy", "arc_challenge", "hellaswag", "piqa", "sciq", "winogrande")
ARMS = ("swiglu", "gelu", "relu", "polyrelu", "polynorm")


def lines(name):
    with (FOLDER / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table(number):
    return {(row["row"], row["column"]): float(row["printed"]) for row in lines(f"table{number}.csv")}


def of(number, arm):
    """What the average of a row is taken of."""
    skipped = {"average", "train_loss", "ppl"}
    return {column: value for (row, column), value in table(number).items() if row == arm and column not in skipped}


@pytest.mark.parametrize("name", [*(f"table{number}.csv" for number in range(1, 7)), "text.csv"])
def test_every_number_has_its_unit_split_and_metric(name):
    assert all(row["unit"] and row["split"] and row["metric"] for row in lines(name))


@pytest.mark.parametrize(
    ("number", "arm", "count"),
    [*((1, arm, 6) for arm in ARMS), *((n, arm, c) for n, c in ((2, 11), (3, 9)) for arm in ("swiglu", "polynorm"))],
)
def test_the_printed_average_is_that_of_its_row(number, arm, count):
    values = of(number, arm).values()
    assert len(values) == count
    error = 0.005 + 0.005  # each part and the mean are rounded
    assert sum(values) / count == pytest.approx(table(number)[arm, "average"], abs=error)


def test_polynorm_leads_swiglu_by_the_121_hundredths_of_the_text():
    found = table(1)
    assert found["polynorm", "average"] - found["swiglu", "average"] == pytest.approx(1.21)


@pytest.mark.parametrize("arm", ARMS)
def test_the_printed_perplexity_is_not_that_of_the_printed_loss(arm):
    assert math.exp(table(1)[arm, "train_loss"]) > 2 * table(1)[arm, "ppl"]


def test_polynorm_is_above_swiglu_on_seven_tasks_of_nine_where_the_text_has_eight():
    ours, base = of(3, "polynorm"), of(3, "swiglu")
    assert {task for task in base if ours[task] < base[task]} == {"olmo_arc_easy", "olmo_winogrande"}
    assert {row["column"]: row["printed"] for row in lines("text.csv")}["wins_in_table_3"] == "8"


def test_the_texts_002_is_155_ten_thousandths():
    ours, base = of(2, "polynorm"), of(2, "swiglu")
    assert all(ours[name] < base[name] for name in base)
    assert sum(base[name] - ours[name] for name in base) / 11 == pytest.approx(0.0155, abs=5e-5)


def test_each_column_of_table_2_is_a_validation_set_in_its_order():
    manifest = read(paths.data() / "manifests" / "ppl-validation-v3.yaml")
    assert tuple(of(2, "swiglu")) == tuple(manifest["read"]["validation"])


@pytest.mark.parametrize("number", [1, 3])
def test_each_task_is_one_of_ours_with_its_split(number):
    asked = {row["column"]: row["split"] for row in lines(f"table{number}.csv") if row["unit"] == "percent"}
    del asked["average"]
    assert tuple(asked) == facts().groups[f"table-{number}"]
    assert asked == {task: facts().tasks[task].split for task in asked}


def test_table_4_has_seventeen_activations_each_with_a_formula():
    found = defaultdict(set)
    for row in lines("table4.csv"):
        found[row["row"]].add(row["column"])
    assert len(found) == 17
    assert all(columns == {"name", "formula"} for columns in found.values())


def test_there_are_2250_digitised_points_in_less_than_150_kilobytes():
    assert len(lines("curves.csv")) == 2250
    assert (FOLDER / "curves.csv").stat().st_size < 150_000


def last(figure, panel, arm):
    """Where a curve ends; the first value where there are two, as the tables have it."""
    points = [
        (float(row["tokens_b"]), float(row["value"]))
        for row in lines("curves.csv")
        if (row["figure"], row["panel"], row["activation"], row["kind"]) == (str(figure), panel, arm, "raw")
    ]
    return next(value for at, value in points if at == max(points)[0])


@pytest.mark.parametrize(
    ("number", "figure", "panel", "arm"),
    [
        *((1, 1, "hellaswag", arm) for arm in ARMS),
        *(
            (3, 4, f"olmo_{task}", arm)
            for task in ("hellaswag", "mmlu_var", "arc_challenge", "sciq")
            for arm in ("swiglu", "polynorm")
        ),
    ],
)
def test_a_digitised_curve_ends_at_the_printed_number(number, figure, panel, arm):
    assert last(figure, panel, arm) == pytest.approx(table(number)[arm, panel], abs=0.005 + 1e-4)
