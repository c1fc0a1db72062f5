"""What evaluating tasks costs."""

import pytest

from repro.bench import tasks
from repro.errors import DataError
from repro.evaluation.tasks import tasks as evaluated
from tests.evaluation.questions import write

ANSWERS = {"choice1": "The man got wet.", "choice2": "It ran.", "question": "effect", "label": 0}
ROWS = [ANSWERS | {"premise": f"It rained {number}."} for number in range(4)]


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path))
    monkeypatch.setattr(tasks, "NAMES", ("olmo_copa",))
    monkeypatch.setattr(tasks, "RECIPE", "dense-smoke-polynorm")
    monkeypatch.setattr(tasks, "cores", lambda: 1)
    monkeypatch.setattr(evaluated, "check_items", lambda file, found, where: None)


def test_an_evaluation_is_held_against_its_forward_passes(tmp_path):
    write(tmp_path / "tasks", "super_glue__copa.validation", ROWS)
    whole, bare, times = tasks.measure()
    assert (whole.unit, bare.unit, times.unit) == ("s", "s", "x")
    assert whole.value > 0 < bare.value
    assert "tokens with padding" in bare.case


def test_data_that_are_not_prepared_are_told():
    with pytest.raises(DataError, match="run `repro prepare tasks names=olmo_copa`"):
        next(tasks.measure())
