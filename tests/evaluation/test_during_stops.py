"""A run that is stopped while tasks are evaluated, and several processes that evaluate together."""

import json
import os
import signal

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from repro.errors import Preempted
from repro.evaluation import during, results
from repro.evaluation.subject import Subject
from repro.evaluation.tasks import harness, tasks
from repro.recipe.runs import read_metrics
from repro.training import checkpoints
from repro.training.run import is_complete
from repro.training.trained import Trained
from tests.conftest import SMALL
from tests.evaluation.questions import write
from tests.evaluation.stand_ins import SETTINGS, values
from tests.training.conftest import Numbers
from tests.training.ranks import World, in_turn


class Asked:
    """Which task is asked after which, and what happens meanwhile, once."""

    def __init__(self, evaluate, happens):
        self.evaluate, self.happens, self.names = evaluate, happens, []

    def __call__(self, subject, tasks):
        self.names += tasks
        if what := self.happens.pop(len(self.names), None):
            what()
        return self.evaluate(subject, tasks)


@pytest.fixture
def happening(monkeypatch, asked):
    """``happening({3: what})`` calls ``what`` in the third task that is asked."""

    def put(happens):
        one = Asked(during.harness.evaluate, happens)
        monkeypatch.setattr(during.harness, "evaluate", one)
        return one

    return put


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def fail():
    raise ZeroDivisionError


def shown(folder):
    read = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    return {tag: [event.step for event in read.Scalars(tag)] for tag in ("tasks/copa", "tasks/piqa")}


def whole(folder):
    return [checkpoints.step_of(path) for path in checkpoints.complete(folder / "checkpoints")]


def test_a_step_is_saved_before_its_tasks_are_asked(train, happening, tmp_path):
    saved = []
    happening({1: lambda: saved.extend(whole(tmp_path / "run"))})
    train({**SETTINGS, "evaluation.every": 10})
    assert saved == [10]


@pytest.mark.parametrize(("at", "step"), [(3, 12), (7, 24)], ids=["on the way", "at the end"])
def test_a_stop_waits_for_one_task_and_the_others_come_first_when_the_run_goes_on(train, happening, tmp_path, at, step):
    asked = happening({at: interrupt})
    folder = tmp_path / "run"
    with pytest.raises(Preempted, match=f"stopped after step {step} of 24"):
        train(SETTINGS)
    assert asked.names == ["copa", "piqa"] * (at // 2) + ["copa"]
    assert whole(folder)[-1] == step
    assert (step, "copa") in values(folder)
    assert (step, "piqa") not in values(folder)
    train(SETTINGS)
    assert asked.names == ["copa", "piqa"] * 4, "none twice, none left out"
    assert values(folder) == values(train(SETTINGS, "whole"))
    assert shown(folder) == {"tasks/copa": [6, 12, 18, 24], "tasks/piqa": [6, 12, 18, 24]}
    assert Numbers.of(folder) == Numbers.of(tmp_path / "whole")


def test_a_second_stop_while_they_are_made_up_for_takes_no_step(train, happening):
    asked, settings = happening({1: interrupt, 2: interrupt}), {"evaluation.tasks": "[copa, piqa, sciq]"}
    for _ in range(2):
        with pytest.raises(Preempted, match="stopped after step 12 of 24"):
            train({**settings, "evaluation.every": 12})
    folder = train({**settings, "evaluation.every": 12})
    assert asked.names == ["copa", "piqa", "sciq"] * 2
    assert len(values(folder)) == 6


def test_a_run_that_failed_in_its_last_tasks_takes_no_step_again(train, happening, tmp_path):
    asked = happening({8: fail})
    with pytest.raises(ZeroDivisionError):
        train(SETTINGS)
    assert not is_complete(tmp_path / "run")
    before = (tmp_path / "run" / "metrics.csv").read_text()
    folder = train(SETTINGS)
    assert asked.names == [*["copa", "piqa"] * 4, "piqa"]
    assert (folder / "metrics.csv").read_text() == before
    assert is_complete(folder)
    assert len(values(folder)) == 8


@pytest.mark.parametrize("tasks", ["[copa, piqa]", "[]"])
def test_what_was_found_of_steps_that_are_taken_again_is_forgotten(train, happening, tmp_path, tasks):
    happening({5: fail})  # at step 18, of which the newest checkpoint is that of step 10
    with pytest.raises(ZeroDivisionError):
        train(SETTINGS)
    folder = tmp_path / "run"
    assert whole(folder) == [10]
    for step in (10, 12):
        results.write_losses(folder, step, [{"set": "letters", "subset": "home", "nats_per_token": 1.0}])
        results.of_step(folder, step).mkdir(exist_ok=True)
        (results.of_step(folder, step) / ".letters.part").write_text("some")
    train({"evaluation.tasks": tasks})
    assert [row["step"] for row in results.read(folder, "losses")] == [10]
    assert "12" not in {row["step"] for row in read_metrics(folder / "evaluation" / "losses.csv")}
    assert not (results.of_step(folder, 12)).exists()
    assert (results.of_step(folder, 10) / ".letters.part").exists()
    last = [(24, "copa"), (24, "piqa")] if tasks != "[]" else []
    assert list(values(folder)) == [(6, "copa"), (6, "piqa"), *last]


# Several processes


def test_ranks_evaluate_together_and_the_first_one_writes(prepared, tmp_path):
    overrides = [f"{key}={value}" for key, value in (SMALL | SETTINGS).items()]
    body = f"""
from repro.data.manifest import Prepared
from repro.evaluation import during, results
from tests.evaluation.stand_ins import TEXT, find, scored
import torch
recipe, data = load("dense-smoke-polynorm", {overrides}), Prepared.open(Path({str(prepared.folder)!r}))
written = []

def evaluate(subject, tasks):
    tokens = torch.tensor([subject.tokenizer.encode(TEXT).ids[:17]])
    loss = subject.network(tokens[:, :-1], tokens[:, 1:]).mean.item()
    return [scored(task, loss) for task in tasks]

def write(*arguments, **options):
    written.append((arguments[1], arguments[2][0].task))
    return write_tasks(*arguments, **options)

write_tasks, results.write_tasks = results.write_tasks, write
during.task_piece.find, during.harness.evaluate = find, evaluate
folder = Path("run")
run(recipe, cpus, data, seed=0, folder=folder, evaluating=during.callbacks(recipe, data, folder))
every = [(step, task) for step in (6, 12, 18, 24) for task in ("copa", "piqa")]
assert written == (every if rank == 0 else []), written
"""
    in_turn([World(2, body)], tmp_path)
    assert [step for step, task in values(tmp_path / "run") if task == "piqa"] == [6, 12, 18, 24]
    assert all(np.isfinite(value) for value in values(tmp_path / "run").values())


def test_a_signal_to_one_rank_stops_all_after_the_same_task(prepared, tmp_path):
    overrides = [f"{key}={value}" for key, value in (SMALL | SETTINGS).items()]
    body = f"""
from repro.data.manifest import Prepared
from repro.errors import Preempted
from repro.evaluation import during
from tests.evaluation.stand_ins import find, scored
recipe, data = load("dense-smoke-polynorm", {overrides}), Prepared.open(Path({str(prepared.folder)!r}))
names, signals = [], [signal.SIGTERM]

def evaluate(subject, tasks):
    names.extend(tasks)
    if len(names) == 3 and rank == 1 and signals:
        os.kill(os.getpid(), signals.pop())
    return [scored(task, 1.0) for task in tasks]

during.task_piece.find, during.harness.evaluate = find, evaluate

def go():
    run(recipe, cpus, data, seed=0, folder=Path("run"), evaluating=during.callbacks(recipe, data, Path("run")))

try:
    go()
    raise AssertionError("it did not stop")
except Preempted as stopped:
    assert "stopped after step 12 of 24" in str(stopped), stopped
assert names == ["copa", "piqa", "copa"], names
go()
assert names == ["copa", "piqa"] * 4, names
"""
    in_turn([World(2, body)], tmp_path)
    assert len(values(tmp_path / "run")) == 8


@pytest.mark.usefixtures("few_items")
def test_sharded_ranks_ask_lm_evals_tasks_as_they_train(prepared, tmp_path):
    """What they find of the last step is what one process finds of its checkpoint."""
    items = [
        {"premise": f"It {word}.", "choice1": "It was wet.", "choice2": "It was dry.", "question": "effect", "label": 0}
        for word in ("rained", "snowed", "shone")
    ]
    write(tmp_path / "data" / "tasks", "super_glue__copa.validation", items)
    settings = SMALL | {"evaluation.tasks": "[olmo_copa]", "evaluation.every": 12}
    body = f"""
from repro.data.manifest import Prepared
from repro.evaluation import during
from repro.evaluation.tasks import tasks
tasks.check_items = lambda *_: None
recipe = load("dense-smoke-polynorm", {[f"{key}={value}" for key, value in settings.items()]})
data, folder = Prepared.open(Path({str(prepared.folder)!r})), Path("run")
run(recipe, cpus, data, seed=0, folder=folder, evaluating=during.callbacks(recipe, data, folder))
"""
    in_turn([World(2, body)], tmp_path, REPRO_DATA=str(tmp_path / "data"))
    folder = tmp_path / "run"
    assert list(values(folder)) == [(12, "olmo_copa"), (24, "olmo_copa")]
    loaded = tasks.load(["olmo_copa"], files=tmp_path / "data" / "tasks")
    (alone,) = harness.evaluate(Subject.of(Trained.at(folder), torch.device("cpu")), loaded)
    lines = (results.of_step(folder, 24) / "olmo_copa.jsonl").read_text().splitlines()
    for line, row in zip(lines, alone.rows, strict=True):
        assert json.loads(line)["log_likelihoods"] == pytest.approx(row["log_likelihoods"], rel=1e-5)
    assert values(folder)[24, "olmo_copa"] == alone.value
