"""The benchmark of a step measures the same training twice; how fast is not a test's business."""

import csv

from repro.bench import step
from repro.bench.rows import Figure, write
from repro.recipe import machine


def test_it_yields_the_bare_loop_the_trainer_and_the_difference(small, prepared, monkeypatch):
    monkeypatch.setattr(step, "STEPS", 12)
    monkeypatch.setattr(step, "WARM_UP", 2)
    monkeypatch.setattr(step, "load", lambda name, overrides: small({"budget.tokens": 12 * 128}))
    bare, trained, overhead = step.measure(machine("cpu"), prepared, rounds=1)
    assert bare.value > 0
    assert overhead.value == trained.value - bare.value
    assert {figure.unit for figure in (bare, trained, overhead)} == {"ms a step"}


def test_a_row_carries_what_its_number_depends_on(tmp_path):
    path = tmp_path / "bench.csv"
    write(path, "step", [Figure("a case", 1.23456, "ms")])
    write(path, "step", [Figure("another", 2.0, "ms")])
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [(row["case"], row["value"]) for row in rows] == [("a case", "1.235"), ("another", "2")]
    assert {"device", "torch", "repro", "date", "threads"} <= rows[0].keys()
    assert all(rows[0].values())
