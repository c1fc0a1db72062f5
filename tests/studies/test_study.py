"""A study from its first line to its verdicts, with runs that only pretend to train."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from repro.claims.evidence import store
from repro.errors import CheckFailed, RecipeError, RunError
from repro.studies import queue, recorded, study, watching
from repro.studies.asked import form
from repro.studies.due import remaining
from tests.claims import made

STUDY = made.study(seeds=3, secondary_seeds=2)  # polynorm < swiglu, polynorm < relu
ALL = 9 + 3 + 3 + 2
EFFECT = {"swiglu": 0.02, "relu": 0.05}


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A folder in which runs take no time. Gives the commands of those that ran; a test says what they come to."""
    world = _World()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(store.paths, "data", lambda: tmp_path / "data")
    monkeypatch.setattr(study, "load", lambda name: world.study)
    monkeypatch.setattr(study, "refuse_unready", lambda of, where, *, submitted: None)
    monkeypatch.setattr(queue, "run_all", world.run_all)
    monkeypatch.setattr(recorded.runs, "row", world.row)
    monkeypatch.setattr(recorded.runs, "curve", lambda run, row: made.curve(row))
    return world


class _World:
    """Stands in for processes: each leaves its result at once."""

    def __init__(self):
        self.study = STUDY
        self.ran = []
        self.fails = self.diverges = self.stops = lambda arm: False
        self.loss = lambda arm, seed, factor: made.BASE + EFFECT.get(arm, 0) + 0.001 * seed + 0.01 * abs(factor - 1)

    def run_all(self, arms, *, at_once, method, show, more):
        waiting = list(arms)
        while waiting:
            arm = waiting.pop(0)
            if self.stops(arm):
                raise KeyboardInterrupt
            self.ran.append(arm)
            arm.seconds = 1.0
            if self.fails(arm):
                arm.failed = "exit code 1, and the last that it said is\nrepro: no space left"
            elif self.diverges(arm):
                arm.failed = "exit code 1, and the last that it said is\nrepro: diverged"
                self.leave(arm.folder, {"steps": 10, "diverged_at": 5})
            else:
                self.leave(arm.folder, {"steps": 10})
                self.analyse(arm)
            more(waiting)
            show()

    def leave(self, folder, result):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "result.json").write_text(json.dumps(result))

    def analyse(self, arm):
        for command in (arm.command, arm.then):
            parts = [word.removeprefix("parts=") for word in command if word.startswith("parts=")]
            if parts:
                (arm.folder / "analysis").mkdir(exist_ok=True)
                content = {part: {} for part in parts[0].split(",")}
                (arm.folder / "analysis" / "analysis.json").write_text(json.dumps(content))

    def row(self, folder, *, study, form, rung, role, arm, factor):
        seed, recipe = int(folder.name.removeprefix("seed-")), folder.parents[1].name
        told = {"study": study, "form": form, "rung": rung, "role": role, "arm": arm, "factor": factor, "seed": seed}
        told |= {"recipe": recipe, "fingerprint": folder.parent.name, "lr": 0.01 * factor}
        told["validation_loss"] = self.loss(arm, seed, factor)
        content = json.loads((folder / "result.json").read_text())
        row = made.row(**told, curve=made.cells.curve_digest(made.curve(made.row(**told))))
        if content.get("diverged_at") is None:
            return row
        gone = made.diverged(made.row(**told))
        return made.dataclasses.replace(gone, curve=made.cells.curve_digest(made.curve(gone)))


def run(*words, seeds=None, submit=False, on="cpu"):
    """What the study says."""
    said = io.StringIO()
    study.start("made", words, seeds=seeds, on=on, submit=submit, console=Console(file=said, width=120))
    return said.getvalue()


def rows(form="smoke"):
    return store.read(Path(f"runs/studies/made-{form}.csv")).rows


def test_a_study_trains_all_that_it_asks_for_and_gives_its_verdicts(trained):
    said = run("scale=smoke")
    assert len(trained.ran) == len(rows()) == ALL
    assert re.search(r"supported +polynorm < swiglu +-0\.0200", said)
    assert re.search(r"supported +polynorm < relu +-0\.0500", said)


def test_before_it_starts_it_says_what_it_asks_costs_and_can_show(trained):
    said = " ".join(run("scale=smoke", "dry_run=true").split())
    assert trained.ran == []
    assert "question Is the loss lower?" in said
    assert "primary polynorm < swiglu (ours); 3 pairs; named before anything ran" in said
    assert "secondary polynorm < relu; 2 pairs" in said
    assert "9 that choose learning rates on seed 1000 (of each arm up to 2 more, if its best is at an edge)" in said
    assert "and 8 that are measured" in said
    assert "(by plan, a guess until measured)" in said
    assert re.search(
        r"detects 0\.0\d+ nats with 3 pairs; .* in four of five cases, if differences vary by 0\.014", said
    )


def test_a_smoke_is_stamped_before_and_after_and_a_larger_form_is_not(trained):
    assert run("scale=smoke").count("Mechanism only: at this size it is no evidence about the paper.") == 2
    assert "Mechanism only" not in run("scale=10m")


def test_a_finished_study_runs_nothing_again(trained):
    run("scale=smoke")
    before = len(trained.ran)
    assert "supported" in run("scale=smoke")
    assert len(trained.ran) == before


def test_runs_that_lie_here_already_are_read_and_not_repeated(trained):
    of = form(STUDY, "smoke", ())
    for asked in remaining(of, [])[:4]:
        trained.leave(asked.folder, {"steps": 10})
    run("scale=smoke")
    assert len(trained.ran) == ALL - 4
    assert len(rows()) == ALL


def test_results_that_were_brought_from_another_machine_count(trained, tmp_path, monkeypatch):
    run("scale=smoke")
    kept = {path.name: path.read_text() for path in Path("runs/studies").iterdir()}
    (tmp_path / "there" / "runs" / "studies").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "there")
    for name, text in kept.items():
        (Path("runs/studies") / name).write_text(text)
    trained.ran.clear()
    assert "supported" in run("scale=smoke")
    assert trained.ran == []


def test_a_study_that_is_stopped_keeps_what_ended_lists_the_rest_and_goes_on(trained):
    trained.stops = lambda arm: len(trained.ran) == 11
    said = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        study.start("made", ["scale=smoke"], seeds=None, on="cpu", submit=False, console=Console(file=said, width=150))
    assert len(rows()) == 11
    told = said.getvalue()
    assert f"{ALL - 11} runs are missing; `repro study made scale=smoke --on cpu` makes them, or one by one:" in told
    assert "  polynorm, smoke, seed 2: repro run dense-smoke-polynorm --seed 2" in told
    trained.stops = lambda arm: False
    run("scale=smoke")
    assert len(rows()) == len(trained.ran) == ALL


def test_a_study_that_is_stopped_early_says_which_runs_wait_for_a_rate(trained):
    trained.stops = lambda arm: len(trained.ran) == 1
    said = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        study.start("made", ["scale=smoke"], seeds=1, on="cpu", submit=False, console=Console(file=said, width=150))
    assert "  relu, smoke, seed 0: once its learning rate is chosen" in said.getvalue()
    command = "repro run dense-smoke-relu optim.lr=0.02 --seed 1000 --out runs/brackets"
    assert f"  relu at 2 times its rate, smoke, seed 1000: {command}\n" in said.getvalue()
    assert "`repro study made scale=smoke --seeds 1 --on cpu`" in said.getvalue()


def test_a_run_that_fails_stops_no_other_and_is_told_at_the_end(trained):
    trained.fails = lambda arm: arm.name == "polynorm, smoke, seed 1"
    said = io.StringIO()
    with pytest.raises(
        CheckFailed, match=r"^1 runs of study made failed; `repro study made scale=smoke --on cpu` tries"
    ):
        study.start("made", ["scale=smoke"], seeds=None, on="cpu", submit=False, console=Console(file=said, width=150))
    assert len(rows()) == ALL - 1
    assert "failed: polynorm at 1 times its rate, smoke, seed 1: exit code 1" in said.getvalue()
    assert "repro: no space left" in said.getvalue()
    assert "1 runs are missing" in said.getvalue()


def test_a_divergence_is_a_result(trained):
    trained.diverges = lambda arm: arm.name == "relu, smoke, seed 1"
    said = run("scale=smoke")
    assert [row.diverged_at for row in rows() if (row.arm, row.seed) == ("relu", 1)] == [100]
    assert re.search(r"not resolved +polynorm < relu", said)
    assert "polynorm < relu: diverged: relu at seed 1" in said


def test_a_bracket_whose_best_is_at_an_edge_is_widened_and_the_arm_measured_there(trained):
    base = trained.loss
    trained.loss = lambda arm, seed, factor: base(arm, seed, factor) - (0.1 * factor if arm == "swiglu" else 0)
    said = run("scale=smoke")
    tried = {row.factor for row in rows() if (row.role, row.arm) == ("bracket", "swiglu")}
    assert tried == {0.5, 1.0, 2.0, 4.0, 8.0}
    assert {row.factor for row in rows() if (row.role, row.arm) == ("main", "swiglu")} == {8.0}
    assert "polynorm < swiglu: the best learning rate tried is at an edge of the bracket: swiglu (0.08)" in said
    assert "runs come last and no verdict is given of them: swiglu, smoke (x8 of its rate)" in said
    assert [arm.name.split(",")[0] for arm in trained.ran[-3:]] == ["swiglu at 8 times its rate"] * 3


def test_what_is_judged_by_signs_and_ranks_is_told_before_and_after(trained, monkeypatch):
    trained.study = made.study(
        primary="polynorm < relu in largest_magnitude", secondary=(), bracket=False, seeds=6, secondary_seeds=6
    )
    row = trained.row
    grown = {"polynorm": 2.0, "relu": float("inf")}
    monkeypatch.setattr(
        recorded.runs,
        "row",
        lambda run, **told: made.dataclasses.replace(row(run, **told), largest_magnitude=grown[told["arm"]]),
    )
    said = " ".join(run("scale=smoke").split())
    assert "detects by signs and ranks: the same sign in all of 6 pairs has a p of 0.031" in said
    assert "supported polynorm < relu in largest_magnitude 0.031 6" in said
    assert "polynorm < relu in largest_magnitude: polynorm is lower at 6 and higher at 0 of 6 pairs" in said


def test_one_seed_runs_and_gives_no_verdict(trained):
    said = run("scale=smoke", seeds=1)
    assert len(rows()) == 9 + 3
    assert "polynorm < swiglu (ours); one pair, which gives no verdict; named before anything ran" in said
    assert re.search(r"not resolved +polynorm < swiglu +1\b", said)


def test_measured_runs_are_analysed_before_their_row_is_written(trained):
    trained.study = made.study(seeds=2, secondary_seeds=2, analysis=["weights", "states"])
    run("scale=smoke")
    looked = [arm for arm in trained.ran if arm.then]
    assert len(looked) == 6
    assert [*looked[0].then[:2], *looked[0].then[3:]] == ["repro", "analyze", "parts=weights,states", "--on", "cpu"]


def test_a_run_that_is_trained_and_not_analysed_is_analysed_alone(trained):
    trained.study = made.study(seeds=1, secondary_seeds=1, bracket=False, analysis=["weights"])
    folder = form(trained.study, "smoke", ()).run("main", "smoke", "relu", 1.0, 0).folder
    trained.leave(folder, {"steps": 10})
    run("scale=smoke")
    (arm,) = [arm for arm in trained.ran if arm.folder == folder]
    assert arm.command[:2] == ("repro", "analyze")
    assert arm.then == ()


def test_settings_hold_for_all_runs_and_another_set_of_them_is_kept_apart(trained):
    run("scale=smoke", "budget.tokens=64_000")
    assert all("budget.tokens=64000" in arm.command for arm in trained.ran)
    with pytest.raises(RecipeError, match=r"polynorm at smoke of the recipe as it was then \(\w{8}, now \w{8}\)"):
        run("scale=smoke")


def test_what_was_named_before_it_ran_stays_with_the_results_and_another_plan_is_told(trained):
    run("scale=smoke")
    before = store.read(Path("runs/studies/made-smoke.csv")).planned
    trained.study = made.study(seeds=4, secondary_seeds=2, secondary=("polynorm > relu",))
    said = run("scale=smoke")
    assert store.read(Path("runs/studies/made-smoke.csv")).planned == before
    assert "runs/studies/made-smoke.csv was begun with another plan, and verdicts hold to that one: " in said
    assert "not named then: polynorm > relu" in said
    assert "3 pairs of polynorm < swiglu were planned, not 4" in said
    assert "begun with another plan" not in run("scale=10m")


OTHER = """
import sys
from repro.studies.asked import form
from repro.studies.recorded import alone
from tests.claims import made
with alone(form(made.study(), "smoke", ())):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def another():
    """A process that is at the smoke of the same study until its input ends."""
    where = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": os.environ["PATH"]}
    with subprocess.Popen(
        [sys.executable, "-c", OTHER], env=where, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.stdin.close()


def test_a_study_that_another_process_is_at_is_refused_and_its_rows_stay(trained, another):
    with pytest.raises(RunError) as error:
        run("scale=smoke")
    assert str(error.value) == (
        "study made at smoke runs in another process, and both would write runs/studies/made-smoke.csv; dry_run=true "
        "shows how far it is"
    )
    assert trained.ran == []
    assert "named before anything ran" in run("scale=smoke", "dry_run=true")
    run("scale=10m")
    assert len(rows("10m")) == ALL


def test_once_the_other_process_has_ended_the_study_goes_on(trained, another):
    another.kill()
    another.wait()
    run("scale=smoke")
    assert len(rows()) == ALL


def test_a_file_that_somebody_edited_is_not_added_to(trained):
    run("scale=smoke", seeds=1)
    path = Path("runs/studies/made-smoke.csv")
    path.write_text(path.read_text().replace("NVIDIA", "nvidia", 1))
    with pytest.raises(
        RunError, match=r"nothing is added to numbers that were not measured: put back what was written"
    ):
        run("scale=smoke")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["scale=10"], r"study made has no scale '10'\. Did you mean '10m'\?"),
        (["dry_run=yes"], "dry_run=yes: expected true or false"),
        (["scale=smoke", "scale=10m"], "scale is set twice"),
        (["scales=smoke"], "the command line: unknown key 'scales'"),
    ],
)
def test_what_is_wrong_with_what_is_asked_is_told_in_a_line(trained, words, told):
    with pytest.raises(RecipeError, match=told):
        run(*words)
    assert trained.ran == []


def test_without_a_terminal_a_study_says_a_line_a_minute(trained, monkeypatch):
    clock = iter(range(0, 100_000, 20))
    monkeypatch.setattr(watching.time, "monotonic", lambda: next(clock))
    said = run("scale=smoke")
    lines = [line for line in said.splitlines() if " runs done, " in line]
    assert 4 <= len(lines) <= ALL // 2
    assert re.search(r"\d+ runs done, 0 running, \d+ to come; about .* left", lines[0])


def test_the_table_shows_each_arm_by_seeds(trained):
    of = form(STUDY, "smoke", ())
    run("scale=smoke", seeds=2)
    arms = {}
    waiting = of.run("main", "smoke", "polynorm", 1.0, 2)
    arms[waiting.key] = watching.Arm(waiting.name, [], waiting.folder, 250, latest={"step": "125"}, process=object())
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(watching.table(of, rows(), arms))
    said = console.export_text()
    assert re.search(r"polynorm +x1 +3\.2000 +3\.2010 +50%", said)
    assert re.search(r"swiglu +x1 +3\.2200 +3\.2210", said)


def test_settings_of_the_verb_are_told_from_keys_of_recipes():
    asked = study.settings(["scale=smoke", "data.corpus=python-packages", "any_commit=true"])
    assert (asked.scale, asked.dry_run, asked.any_commit) == ("smoke", False, True)
    assert asked.overrides == ("data.corpus=python-packages",)
