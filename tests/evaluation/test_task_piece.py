"""Tasks as `repro eval` takes them: whole, and told from others of their name."""

from types import SimpleNamespace

import pytest

from repro.data.progress import silent
from repro.data.tasks import facts
from repro.errors import DataError
from repro.evaluation.tasks import task_piece, tasks
from repro.evaluation.work import Count
from tests.evaluation.questions import write

ANSWERS = {"choice1": "I got wet.", "choice2": "He ran.", "question": "effect", "label": 0}
ROWS = [ANSWERS | {"premise": f"It rained {number}."} for number in range(100)]


def found(folder, rows=ROWS, *, limit=None, name="olmo_copa"):
    files = write(folder, "super_glue__copa.validation", rows)
    (piece,) = task_piece.find([name], files=files, limit=limit)
    return piece


@pytest.mark.parametrize("limit", [None, 5])
def test_a_file_that_holds_only_some_of_the_items_is_refused(tmp_path, limit):
    with pytest.raises(DataError) as caught:
        found(tmp_path, ROWS[:20], limit=limit)
    says = f"{tmp_path} has 20 items for super_glue__copa.validation.jsonl, expected 100; is it another version?"
    assert str(caught.value) == says


def test_its_size_is_the_items_that_are_asked(tmp_path):
    assert found(tmp_path).size == 100
    assert found(tmp_path, limit=5).size == 5


def test_what_is_left_is_counted_in_items(tmp_path, monkeypatch):
    monkeypatch.setattr(task_piece.harness, "evaluate", lambda subject, tasks, progress: [])
    monkeypatch.setattr(task_piece.results, "write_tasks", lambda *_, **__: None)
    piece, told = found(tmp_path, limit=7), Count("tasks", 21, silent)
    model = SimpleNamespace(trained=SimpleNamespace(folder=tmp_path, step=10), subject=None, device=None)
    piece.evaluate(model, told)
    assert told.done == 7


def test_an_item_the_definition_and_lm_eval_tell_a_task_from_another(tmp_path, monkeypatch):
    first = found(tmp_path).fingerprint
    assert found(tmp_path, limit=5).fingerprint == first
    assert found(tmp_path, [*ROWS[:-1], ROWS[-1] | {"label": 1}]).fingerprint != first
    other = tmp_path / "definitions"
    other.mkdir()
    for path in tasks._folder("olmo").iterdir():
        (other / path.name).write_text(path.read_text().replace("therefore", "so"))
    with monkeypatch.context() as patch:
        patch.setattr(tasks, "_folder", lambda defined: other)
        assert found(tmp_path).fingerprint != first
    with monkeypatch.context() as patch:
        patch.setattr("lm_eval.__version__", "0.0.1")
        assert found(tmp_path).fingerprint != first
    assert found(tmp_path).fingerprint == first
    assert found(tmp_path, name="copa").fingerprint != first


def test_processes_that_read_other_items_do_not_agree(tmp_path):
    one, other = found(tmp_path), found(tmp_path, ROWS[::-1])
    assert (one.name, one.limit) == (other.name, other.limit)
    assert str(one) != str(other)


def test_a_row_without_a_fingerprint_or_with_another_is_not_of_these_items(tmp_path):
    piece = found(tmp_path)
    row = {"step": 10, "task": "olmo_copa", "limit": None}
    same = row | {"task_fingerprint": piece.fingerprint}
    assert piece.is_done([same], 10)
    assert not piece.is_done([row, row | {"task_fingerprint": "other"}], 10)
    assert not piece.is_done([same], 20)


@pytest.mark.parametrize(
    ("before", "now", "done"), [(None, 5, True), (5, 5, True), (9, 5, True), (5, 9, False), (5, None, False)]
)
def test_as_many_items_or_more_are_enough(tmp_path, before, now, done):
    piece = found(tmp_path, limit=now)
    row = {"step": 10, "task": "olmo_copa", "limit": before, "task_fingerprint": piece.fingerprint}
    assert piece.is_done([row], 10) is done


def test_a_group_is_a_piece_for_each_task(tmp_path, few_items):
    write(tmp_path, "super_glue__copa.validation", ROWS[:3])
    write(tmp_path, "piqa__plain_text.validation", [{"goal": "Open it", "sol1": "pull", "sol2": "push", "label": 1}])
    pieces = task_piece.find(["copa", "piqa"], files=tmp_path, limit=None)
    assert [(piece.name, piece.size) for piece in pieces] == [("copa", 3), ("piqa", 1)]
    assert [task.name for piece in pieces for task in piece.alone.asked] == ["copa", "piqa"]
    assert all(facts.task(piece.name).parts[0].name in piece.alone.defined for piece in pieces)
