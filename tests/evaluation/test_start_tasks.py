"""`repro eval` of tasks: one by one, anew where they are others, and told where an accuracy is not the table's."""

from types import SimpleNamespace

import pytest

from repro.data.tasks import facts
from repro.evaluation import results
from repro.evaluation.tasks.harness import TaskResult
from repro.evaluation.tasks.tasks import Tasks
from tests.evaluation.conftest import evaluate


@pytest.fixture
def prints():
    """What tells the items of a task from others, by its name."""
    return {"piqa": "as published", "sciq": "as published"}


@pytest.fixture
def answered(monkeypatch, prints):
    """Has two tasks answered without looking at the model; what was asked of it is listed."""
    from repro.evaluation.tasks import task_piece

    every, told = [facts.task(name) for name in ("piqa", "sciq")], []

    def load(names, *, files, limit):
        asked = tuple(task for task in every if task.name in names)
        parts = {part.name: SimpleNamespace(eval_docs=[0, 1]) for task in asked for part in task.parts}
        return Tasks(asked, parts, dict(prints))

    def evaluate(subject, tasks, progress):
        (task,) = tasks.asked
        if len(told) == 2:
            raise KeyboardInterrupt
        told.append(task.name)
        metrics, rows = {"acc": 0.5, "cut": 0.83 if task.name == "sciq" else 0.01}, [{"item": 0}, {"item": 1}]
        by = tasks.fingerprints[task.name]
        return [TaskResult(task.name, "Table 1", "test", 2, "acc", 0.5, 0.35, metrics, rows, 64, by)]

    monkeypatch.setattr(task_piece.tasks, "load", load)
    monkeypatch.setattr(task_piece.harness, "evaluate", evaluate)
    return told


def test_tasks_are_answered_one_by_one_and_what_is_finished_is_kept(command, a_run, answered):
    words = ("--tasks", "piqa,sciq", "limit=2")
    assert evaluate(command, *words)[::2] == (130, "repro: interrupted\n")
    assert [(row["step"], row["task"]) for row in results.read(a_run, "tasks")] == [(24, "piqa"), (24, "sciq")]
    answered.clear()
    code, said, _ = evaluate(command, *words)
    assert (code, answered) == (0, ["piqa", "sciq"])
    assert said.startswith("evaluated before: piqa at step 24\nevaluated before: sciq at step 24\n")
    assert "50.00 ± 35.00" in said
    assert "Not all items of piqa (limit=2), sciq (limit=2)." in said
    assert len((a_run / "evaluation" / "step-00000020" / "sciq.jsonl").read_text().splitlines()) == 2


def test_all_items_are_asked_where_only_some_were_and_not_the_other_way_round(command, a_run, answered):
    evaluate(command, "--tasks", "piqa", "limit=2", "step=24")
    evaluate(command, "--tasks", "piqa", "step=24")
    assert [row["limit"] for row in results.read(a_run, "tasks")] == [None]
    assert "evaluated before: piqa" in evaluate(command, "--tasks", "piqa", "limit=2", "step=24")[1]


def test_a_larger_look_takes_the_place_of_a_smaller_one_and_not_the_other_way_round(command, a_run, answered):
    for limit in (20, 100, 20):
        said = evaluate(command, "--tasks", "piqa", f"limit={limit}", "step=24")[1]
    assert said.startswith("evaluated before: piqa at step 24\n")
    assert [row["limit"] for row in results.read(a_run, "tasks")] == [100]


def test_other_items_under_the_same_name_are_asked(command, a_run, answered, prints):
    words = ("--tasks", "piqa", "step=24")
    evaluate(command, *words)
    prints["piqa"] = "altered"
    assert "evaluated before" not in evaluate(command, *words)[1]
    assert answered == ["piqa", "piqa"]
    assert [row["task_fingerprint"] for row in results.read(a_run, "tasks")] == ["altered"]
    assert "evaluated before: piqa" in evaluate(command, *words)[1]


def test_items_that_did_not_fit_the_context_are_told_where_they_are_more_than_a_few(command, a_run, answered):
    said = " ".join(evaluate(command, "--tasks", "piqa,sciq", "step=24")[1].split())
    assert "Of sciq 83 % of items did not fit the context of 64 tokens." in said
    assert "Of piqa" not in said
