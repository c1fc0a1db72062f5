"""Tasks are evaluated as a model trains, and training does not notice."""

import json
import time

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from repro import cli
from repro.errors import DataError, RunError
from repro.evaluation import during
from repro.recipe.runs import read_metrics
from repro.training.callbacks.metrics import Metrics
from tests.conftest import SMALL
from tests.evaluation.stand_ins import SETTINGS, values
from tests.training.conftest import Numbers


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("activation", ["polynorm", "rrelu"])
def test_training_is_the_same_to_the_bit_with_tasks_and_without(train, activation):
    with_tasks, without = train(SETTINGS, "with", activation=activation), train((), "without", activation=activation)
    assert Numbers.of(with_tasks) == Numbers.of(without)
    assert not (without / "evaluation").exists()


@pytest.mark.usefixtures("asked")
def test_an_interrupted_run_finds_what_the_uninterrupted_one_does(train):
    interrupted, whole = train(SETTINGS, "interrupted", stop_at=(7, 14)), train(SETTINGS, "whole")
    assert Numbers.of(interrupted) == Numbers.of(whole)
    assert values(interrupted) == values(whole)


def test_every_task_is_evaluated_at_every_so_many_steps_and_at_the_end(train, asked):
    folder = train({**SETTINGS, "evaluation.every": 10})
    assert list(values(folder)) == [(step, task) for step in (10, 20, 24) for task in ("copa", "piqa")]
    assert len(asked) == 3 * 2, "one after the other"


@pytest.mark.usefixtures("asked")
def test_without_a_cadence_tasks_are_evaluated_at_the_end(train):
    assert list(values(train({**SETTINGS, "evaluation.every": "null"}))) == [(24, "copa"), (24, "piqa")]


def test_the_subject_is_the_model_that_is_trained(train, asked, prepared):
    folder = train(SETTINGS)
    (subject, *_), found = asked, values(folder)
    assert subject.tokenizer.to_str() == prepared.tokenizer().to_str()
    assert (subject.eos_id, subject.context, subject.within_documents) == (prepared.manifest.eos_id, 16, False)
    assert found[24, "copa"] < found[6, "copa"], "which learns"
    assert subject.network.training, "and goes on training"


@pytest.mark.usefixtures("asked")
def test_results_are_kept_item_by_item_and_shown_in_tensorboard(train):
    folder = train(SETTINGS)
    found = values(folder)
    items = (folder / "evaluation" / "step-00000012" / "piqa.jsonl").read_text().splitlines()
    assert json.loads(items[0])["log_likelihoods"] == [found[12, "piqa"]]
    read = EventAccumulator(str(folder / "tensorboard"), size_guidance={"tensors": 0}).Reload()
    scalars = [(event.step, event.value) for event in read.Scalars("tasks/piqa")]
    assert scalars == [(step, pytest.approx(found[step, "piqa"])) for step in (6, 12, 18, 24)]
    (last,) = read.Tensors("evaluation/tasks/text_summary")[-1].tensor_proto.string_val
    assert last.decode().splitlines()[2] == f"| copa | acc | {found[24, 'copa']:.4f} ± 0.2500 | 2 |"


def test_the_time_of_an_evaluation_is_nobodys_throughput(train, asked, monkeypatch):
    """A clock that an evaluation moves on by a day."""
    day, evaluate = [0.0], during.harness.evaluate

    def slowly(subject, tasks):
        day[0] += 86_400
        return evaluate(subject, tasks)

    monkeypatch.setattr(during.harness, "evaluate", slowly)
    monkeypatch.setattr("repro.training.callbacks.metrics.time.perf_counter", lambda: time.monotonic() + day[0])
    rows = read_metrics(train({**SETTINGS, "evaluation.every": 7}) / "metrics.csv")
    assert day[0] == 4 * 2 * 86_400
    rates = [float(row["tokens_per_second"]) for row in rows if row["tokens_per_second"]]
    assert len(rates) == 4
    assert min(rates) > 3072 / 3600


def test_only_steps_after_an_interruption_are_timed():
    metrics = Metrics(guard=None, unit=None, peak_flops=None)
    metrics.on_train_batch_start()
    metrics.steps, metrics.steps_timed = 5, 5
    metrics.interrupt()
    assert (metrics.started, metrics.steps_timed, metrics.steps) == (None, 0, 5), "the mean loss is still of all"


def test_images_and_recipes_without_tasks_have_nothing_to_evaluate(small, prepared, tmp_path):
    (forgets,) = during.callbacks(small(), prepared, tmp_path)
    assert isinstance(forgets, during.Forgetting)


# What a person is told


def typed(prepared, out, tasks, capsys, sets="[held-out]"):
    """`repro run` on the small corpus: its exit code and what it says."""
    evaluated = {"evaluation.tasks": tasks, "validation.sets": sets}
    words = [f"{key}={value}" for key, value in (SMALL | evaluated).items()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("repro.training.start.ready", lambda data, vocab_size, progress: prepared)
        code = cli.status(["run", "dense-smoke-polynorm", *words, "--on", "cpu", "--out", str(out)])
    return code, " ".join("".join(capsys.readouterr()).split())


@pytest.mark.parametrize(
    "refused",
    [
        DataError("copa.jsonl is not in FOLDER: run `repro prepare tasks names=copa`"),
        RunError("tasks need lm-eval: pip install 'polycom-repro[eval]'"),
    ],
    ids=["no data", "no lm-eval"],
)
def test_what_is_missing_is_told_before_anything_is_written(prepared, tmp_path, capsys, monkeypatch, refused):
    def refuses(names, *, files, limit):
        raise refused

    monkeypatch.setattr(during.task_piece, "find", refuses)
    code, told = typed(prepared, tmp_path / "runs", "[copa]", capsys)
    assert code == 2
    assert told == f"repro: {refused}; or train without: evaluation.tasks=[]"
    assert not (tmp_path / "runs").exists()


def test_an_unknown_task_comes_with_the_nearest_one(prepared, tmp_path, capsys):
    code, told = typed(prepared, tmp_path / "runs", "[arc_esy]", capsys)
    assert code == 2
    assert "arc_esy" in told
    assert "arc_easy" in told
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("asked")
def test_a_run_says_what_it_is_evaluated_on(prepared, tmp_path, capsys):
    code, told = typed(prepared, tmp_path / "runs", "[copa, piqa]", capsys)
    assert code == 0
    assert "tasks copa, piqa, at the end" in told


@pytest.mark.usefixtures("asked")
def test_a_complete_run_says_what_it_has_no_results_of(prepared, tmp_path, capsys):
    out = tmp_path / "some runs"
    assert typed(prepared, out, "[copa]", capsys)[0] == 0
    (folder,) = out.glob("*/*/seed-0")
    code, told = typed(prepared, out, "[copa, olmo_piqa, piqa]", capsys, sets="[held-out, c4]")
    assert code == 0
    assert "already complete" in told
    command = f"repro eval '{folder}' --sets c4 --tasks olmo_piqa,piqa step=24"
    assert f"no results at its end of c4, olmo_piqa, piqa: {command}" in told
    assert "no results" not in typed(prepared, out, "[copa]", capsys)[1]


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    ("tasks", "sets", "word"), [("[pica]", "[held-out]", "piqa"), ("[copa]", "[wikipedya]", "wikipedia")]
)
def test_a_complete_run_refuses_names_that_nobody_knows(prepared, tmp_path, capsys, tasks, sets, word):
    assert typed(prepared, tmp_path, "[copa]", capsys)[0] == 0
    code, told = typed(prepared, tmp_path, tasks, capsys, sets=sets)
    assert code == 2
    assert f"Did you mean '{word}'?" in told
