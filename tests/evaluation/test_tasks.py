"""Tasks by name, their definitions and their data."""

import builtins
import json
import logging
import socket
import sys

import pytest

from repro.data.tasks import facts
from repro.errors import DataError, ReproError
from repro.evaluation.tasks import harness, tasks
from tests.evaluation.questions import uniform, write

pytestmark = pytest.mark.usefixtures("few_items")
LETTERS = ["A", "B", "C", "D"]


def choices(*texts):
    return {"text": list(texts), "label": LETTERS[: len(texts)]}


# Items of each task of ours, what each asks, and the answers.
OLMO = {
    "olmo_arc_easy": (
        {"question": "Which?", "choices": {"text": ["one", "two"], "label": ["1", "2"]}, "answerKey": "2"},
        [("Question: Which?\nAnswer:", " one"), ("Question: Which?\nAnswer:", " two")],
        1,
    ),
    "olmo_arc_challenge": (
        {"question": "Which?", "choices": choices("one", "two"), "answerKey": "A"},
        [("Question: Which?\nAnswer:", " one"), ("Question: Which?\nAnswer:", " two")],
        0,
    ),
    "olmo_commonsense_qa": (
        {"question": "Where?", "choices": choices("here", "there"), "answerKey": "B"},
        [("Question: Where?\nAnswer:", " here"), ("Question: Where?\nAnswer:", " there")],
        1,
    ),
    "olmo_hellaswag": (
        {
            "activity_label": "Roofing",
            "ctx_a": "A man sits [header] down.",
            "ctx_b": "he Looks",
            "endings": ["up [title] and  away", "[step] down"],
            "label": "1",
        },
        [("Roofing: A man sits down. He looks", " up. and away"), ("Roofing: A man sits down. He looks", "  down")],
        1,
    ),
    "olmo_piqa": (
        {"goal": "Open it", "sol1": "pull", "sol2": "push", "label": 1},
        [("Question: Open it\nAnswer:", " pull"), ("Question: Open it\nAnswer:", " push")],
        1,
    ),
    "olmo_sciq": (
        {
            "question": "Who?",
            "distractor1": "d1",
            "distractor2": "d2",
            "distractor3": "d3",
            "correct_answer": "right",
            "support": " Said. ",
        },
        [("Said.\nQuestion: Who?\nAnswer:", f" {each}") for each in ("d1", "d2", "d3", "right")],
        3,
    ),
    "olmo_winogrande": (
        {"sentence": "They liked _ for being _ nice. ", "option1": "Ann", "option2": "Bob", "answer": "2"},
        [("They liked Ann", " for being _ nice."), ("They liked Bob", " for being _ nice.")],
        1,
    ),
    "olmo_openbookqa": (
        {"question_stem": "Gas fills ", "choices": choices("all", "none"), "answerKey": " A"},
        [("Gas fills ", " all"), ("Gas fills ", " none")],
        0,
    ),
    "olmo_copa": (
        {"premise": "It rained.", "choice1": "I got wet.", "choice2": "He ran.", "question": "effect", "label": 0},
        [("It rained therefore", " i got wet."), ("It rained therefore", " he ran.")],
        0,
    ),
    "olmo_boolq": (
        {"question": "is it", "answer": True, "passage": "It is."},
        [("It is.\nQuestion: is it?\nAnswer:", " yes"), ("It is.\nQuestion: is it?\nAnswer:", " no")],
        0,
    ),
    "olmo_social_iqa": (
        {"context": "Al left.", "question": "Why?", "answerA": "a", "answerB": "b", "answerC": "c", "label": "3"},
        [("Question: Al left. Why?\nAnswer:", f" {each}") for each in "abc"],
        2,
    ),
}


def loaded(name, row, folder):
    (file,) = facts.task(name).files
    return tasks.load([name], files=write(folder, file.name.removesuffix(".jsonl"), [row]))


@pytest.mark.parametrize("name", OLMO)
def test_each_task_asks_what_olmo_asks(name, tmp_path):
    row, asked, right = OLMO[name]
    found = loaded(name, row, tmp_path)
    task = found.defined[name]
    task.build_all_requests()
    assert [request.args for request in task.instances] == asked
    assert found.apart == {name}
    assert found.rooms == {name: 2048}
    # The right answer is what makes the accuracy 1, whatever the others are.
    answers = [(0.0 if number == right else -50.0, False) for number in range(len(asked))]
    assert set(task.process_results(task.eval_docs[0], answers).values()) == {1.0}
    wrong = [(-50.0 if number == right else -1.0, False) for number in range(len(asked))]
    assert set(task.process_results(task.eval_docs[0], wrong).values()) == {0.0}


def test_every_task_of_table_3_and_of_figure_4_is_one_of_ours():
    ours = {*facts.expanded(["table-3", "figure-4"])} - {"olmo_mmlu_var"}
    assert ours <= {*OLMO}
    assert {name for name in facts.names() if facts.task(name).described.defined == "olmo"} == {*OLMO, "olmo_mmlu_var"}


def test_every_task_has_its_groups_its_data_and_its_definition():
    every = facts.facts()
    assert {*facts.expanded(facts.groups())} == {*facts.names()}
    for name in facts.names():
        task = facts.task(name)
        assert all(file.items > 0 for file in task.files)
        assert list(tasks._folder(task.described.defined).glob("*.yaml")), task.described.defined
    assert sum(map(len, every.subjects.values())) == 57
    assert {file.data for name in facts.names() for file in facts.task(name).files} == {*every.data}


def mmlu(folder, splits):
    row = {"choices": ["one", "four", "six", "a"], "answer": 1}
    for split in splits:
        asked = [
            row | {"subject": subject, "question": f" {split} {number}"}
            for group in facts.facts().subjects.values()
            for subject in group
            for number in range(5 if split == "dev" else 2)
        ]
        write(folder, f"mmlu__all.{split}", asked)
    return folder


def test_mmlu_var_asks_each_question_seven_times(tmp_path):
    found = tasks.load(["olmo_mmlu_var"], files=mmlu(tmp_path, ["validation", "dev"]), limit=1)
    task = found.defined["olmo_mmlu_stem_var"]
    task.build_all_requests()
    contexts = [request.args[0] for request in task.instances[::4]]
    said = "The following are multiple choice questions (with answers) about abstract algebra:\n\n"
    plain = "Question: validation 0\nAnswer:"
    assert contexts[:3] == [plain, said + plain, f"{said}Question: dev 0\nAnswer: four\n\n{plain}"]
    assert len(contexts) == 7
    assert set(found.rooms.values()) == {2048}
    assert contexts[6].count("Answer: four\n\n") == 5
    assert [request.args[1] for request in task.instances[:4]] == [" one", " four", " six", " a"]
    (result,) = harness.evaluate(uniform(), found)
    # Four questions, a group each; each byte costs the same, and "four" has the most characters to each space.
    assert (result.items, len(result.rows), result.value) == (4, 28, 1.0)
    assert {row["variant"] for row in result.rows} == set(range(7))


def test_mmlu_asks_by_subject_and_weighs_each_item_the_same(tmp_path):
    found = tasks.load(["mmlu"], files=mmlu(tmp_path, ["test"]))
    assert len(found.defined) == 57
    assert set(found.defined["mmlu_anatomy"].eval_docs["subject"]) == {"anatomy"}
    (result,) = harness.evaluate(uniform(likes=[(" ", "B")]), found)
    assert (result.items, result.value, result.error) == (114, 1.0, 0.0)


@pytest.mark.parametrize("name", [name for name in facts.names() if facts.task(name).described.defined[:3] == "lm-"])
def test_lm_eval_knows_each_part_of_its_tasks(name):
    task = facts.task(name)
    manager = tasks._manager([task])
    assert {part.name for part in task.parts} <= {*manager.all_subtasks}


def test_a_task_of_lm_eval_is_asked_with_the_split_of_the_table(tmp_path):
    rows = [{"question": f"Which {n}?", "choices": choices("one", "three"), "answerKey": "A"} for n in range(3)]
    write(tmp_path, "ai2_arc__ARC-Easy.test", rows)
    found = tasks.load(["arc_easy"], files=tmp_path, limit=2)
    (result,) = harness.evaluate(uniform(), found)
    assert (result.table, result.split, result.items, result.metric) == ("Table 1", "test", 2, "acc")
    assert result.metrics == {"acc": 1.0, "acc_norm": 0.0, "cut": 0.0}
    assert not found.apart
    assert not found.rooms


@pytest.mark.parametrize("name", ["hellaswag", "piqa", "sciq", "openbookqa", "copa", "social_iqa"])
def test_tasks_of_lm_eval_read_the_fields_that_ours_read(name, tmp_path):
    (result,) = harness.evaluate(uniform(), loaded(name, OLMO[f"olmo_{name}"][0], tmp_path))
    assert result.items == 1
    # No right answer here is the shortest or, by acc_norm, the longest; of equal ones the first is taken.
    assert result.value == 0.0


def test_names_and_groups_are_asked_for_once():
    assert facts.expanded(["figure-4", "olmo_sciq", "arc_easy"]) == (*facts.facts().groups["figure-4"], "arc_easy")


def test_an_unknown_task_is_told_with_the_nearest(tmp_path):
    with pytest.raises(DataError, match=r"no task is called 'arc_eazy'\. Did you mean 'arc_easy'\? Known: table-1, "):
        tasks.load(["arc_eazy"], files=tmp_path)


def test_data_that_are_not_there_are_told_with_what_prepares_them(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path))
    with pytest.raises(DataError) as caught:
        tasks.load(["olmo_copa", "piqa"])
    lacks = f"{tmp_path / 'tasks'} lacks super_glue__copa.validation.jsonl, piqa__plain_text.validation.jsonl"
    assert str(caught.value) == f"{lacks}: run `repro prepare tasks names=olmo_copa,piqa`"
    with pytest.raises(
        DataError, match=r"put them there, or run `repro prepare tasks names=piqa` and leave out files="
    ):
        tasks.load(["piqa"], files=tmp_path / "other")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no items, expected 100"),
        ('{"premise": "It', "line 1: not JSON"),
        ("[1]", "line 1: expected a JSON object"),
        ('{"a": 1}\n{"b": 1}', "item 2: has b; expected a, as the first"),
        ('{"premise": "It."}', "super_glue__copa.validation.jsonl does not have what olmo_copa reads: 'question' is"),
    ],
)
def test_data_that_are_something_else_are_told_in_one_line(text, says, tmp_path):
    (tmp_path / "super_glue__copa.validation.jsonl").write_text(text)
    with pytest.raises(DataError) as caught:
        tasks.load(["olmo_copa"], files=tmp_path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_is_fetched_and_nothing_is_said(tmp_path, monkeypatch, capfd, caplog):
    def refuse(*_):
        raise AssertionError("a task went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    row, _, _ = OLMO["olmo_piqa"]
    with caplog.at_level(logging.DEBUG):
        harness.evaluate(uniform(), loaded("olmo_piqa", row, tmp_path))
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.name.startswith("lm_eval")]


def test_without_lm_eval_it_is_told_how_to_install_it(tmp_path, monkeypatch):
    imported = builtins.__import__

    def without(name, *rest):
        if name.startswith("lm_eval"):
            raise ImportError("No module named 'lm_eval'")
        return imported(name, *rest)

    for name in [name for name in sys.modules if name.partition(".")[0] == "lm_eval"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    row, _, _ = OLMO["olmo_piqa"]
    with pytest.raises(ReproError, match=r"pip install 'polycom-repro\[eval\]'"):
        loaded("olmo_piqa", row, tmp_path)


def test_items_are_json(tmp_path):
    row, _, _ = OLMO["olmo_boolq"]
    (result,) = harness.evaluate(uniform(), loaded("olmo_boolq", row, tmp_path))
    (item,) = json.loads(json.dumps(result.rows))
    assert {"item", "id", "log_likelihoods", "acc", "acc_norm", "cut"} == {*item}
