"""`repro report` as a person starts it, and the page of one run."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from repro.claims.report import start
from repro.errors import RecipeError, RunError
from tests.claims import made
from tests.claims.evidence.test_runs import a_run, metrics  # noqa: F401 (a fixture)
from tests.claims.report.conftest import outcome
from tests.claims.report.reading import cells, text


def report(of=None, out=None):
    """Its page, and what was printed."""
    said = io.StringIO()
    start.start(of, out=out, console=Console(file=said, width=80))
    path = re.match(r"page in (\S+), and as Markdown in (\S+)\n$", said.getvalue())
    return Path(path[1]).read_text(), path[1]


def test_everything_goes_to_report_and_a_study_to_a_folder_in_it(here):
    here(made.study(name="table-1"), forms=("10m",))
    whole, where = report()
    assert where == "report/index.html"
    assert "What else holds" in text(whole)
    alone, where = report("table-1")
    assert where == "report/table-1/index.html"
    assert "Study table-1" in text(alone)
    assert Path("report/index.html").read_text() == whole


def test_a_ledger_without_studies_has_a_page(here):
    here(forms=(), outcomes=[outcome()])
    assert "Statement E1 holds." in text(report()[0])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("tabel-1", "'tabel-1' is no study, run folder or recipe. Did you mean 'table-1'?"),
        ("dense-1b-polynorn", "no recipe is called 'dense-1b-polynorn'"),
        ("zzz", "'zzz' is no study, run folder or recipe. There are the studies table-1."),
    ],
)
def test_a_word_that_is_nothing_gets_the_nearest(here, word, message):
    here(made.study(name="table-1"), forms=())
    with pytest.raises(RecipeError, match=re.escape(message)) as error:
        report(word)
    assert "\n" not in str(error.value)


def test_a_recipe_without_a_run_and_a_folder_that_is_none_are_told(here, tmp_path):
    here(made.study(name="table-1"), forms=())
    with pytest.raises(
        RunError, match="no run of dense-smoke-polynorm@3 lies in runs; `repro run dense-smoke-polynorm`"
    ):
        report("dense-smoke-polynorm@3")
    (tmp_path / "odd & <b>").mkdir()
    with pytest.raises(RunError, match="is not a run's folder"):
        report("odd & <b>")


def test_a_smoke_run_has_its_curve_its_cost_and_its_recipe_and_no_row_of_the_paper(here, a_run, tmp_path):  # noqa: F811
    here(forms=())
    run = a_run()
    (tmp_path / "odd & <b> | name").mkdir()
    run = run.rename(tmp_path / "odd & <b> | name" / run.name)
    page, where = report(str(run))
    assert where.startswith("report/dense-smoke-polynorm-seed-")
    shown, rows = text(page), {row[0]: row[1:] for row in cells(page)}
    assert "Mechanism only" in shown
    assert "No table of the paper has a row for it" in shown
    assert rows["model.d_model"][0] == "64"
    assert "odd & <b> | name" in rows["folder"][0]
    assert rows["validation loss"][0].endswith("(nats per token)")
    assert "<b>" not in page
    assert 'aria-label="Losses of dense-smoke-polynorm' in page


def test_a_run_at_the_papers_size_stands_beside_its_row_of_table_1(here, a_run):  # noqa: F811
    here(forms=())
    steps = 953_674
    page, _ = report(str(a_run("dense-1b-polynorm", rows=metrics(steps, every=steps // 40), steps=steps)))
    rows = {row[0]: row[1:] for row in cells(page)}
    assert rows["train loss"][0] == "2.17"
    assert re.fullmatch(r"-?\d+\.\d{4}", rows["train loss"][1])
    assert rows["ppl"][1].startswith("never compared")
    assert rows["arc easy"][:2] == ["59.68", "repro eval RUN --tasks table-1"]


TASKS = ("arc_easy", "arc_challenge", "hellaswag", "piqa", "sciq", "winogrande")


def answered(run, step, tasks=TASKS, **values):
    """What training and `repro eval` keep beside a run."""
    row = {"step": step, "items": 2000, "metric": "acc", "value": 0.5, "error": 0.01, "limit": None}
    rows = [row | {"task": "copa", "step": 7}, *(row | {"task": task} | values for task in tasks)]
    (run / "evaluation").mkdir()
    (run / "evaluation" / "tasks.json").write_text(json.dumps({"rows": rows}))


def test_answers_at_the_end_stand_beside_table_1_with_their_errors_and_their_average(here, a_run):  # noqa: F811
    here(forms=())
    steps = 953_674
    run = a_run("dense-1b-polynorm", rows=metrics(steps, every=steps // 40), steps=steps)
    answered(run, steps)
    found = cells(report(str(run))[0])
    rows = {row[0]: row[1:] for row in found}
    assert rows["arc easy"][:2] == ["59.68", "50.00 ± 1.00"]
    assert rows["average"][:2] == ["58.68", "50.00"]
    assert rows["copa"] == ["7", "50.00 ± 1.00", "acc", "2,000"], "all that it was asked has a table of its own"


@pytest.mark.parametrize(
    ("values", "of"), [({"step": 1000}, {}), ({"limit": 100}, {}), ({}, {"tasks": TASKS[1:]})], ids=str
)
def test_answers_before_the_end_of_some_items_or_of_some_tasks_make_no_row(here, a_run, values, of):  # noqa: F811
    here(forms=())
    steps = 953_674
    run = a_run("dense-1b-polynorm", rows=metrics(steps, every=steps // 40), steps=steps)
    answered(run, **({"step": steps} | values | of))
    rows = {row[0]: row[1:] for row in cells(report(str(run))[0])}
    assert rows["arc easy"][:2] == ["59.68", "repro eval RUN --tasks table-1"]
    assert rows["average"][:2] == ["58.68", "repro eval RUN --tasks table-1"]


def test_a_mixture_stands_beside_tables_2_and_3(here, a_run):  # noqa: F811
    here(forms=())
    steps = 47_684
    run = a_run("moe-1b7b-polynorm", rows=metrics(steps, every=steps // 40), steps=steps)
    answered(run, steps, tasks=["olmo_sciq"])
    page = report(str(run))[0]
    rows = {row[0]: row[1:] for row in cells(page)}
    assert "Table 3, polynorm" in text(page)
    assert rows["olmo sciq"][1] == "50.00 ± 1.00"
    assert rows["olmo copa"][1] == "repro eval RUN --tasks table-3"


def test_damaged_answers_are_told(here, a_run):  # noqa: F811
    here(forms=())
    run = a_run()
    answered(run, 10)
    (run / "evaluation" / "tasks.json").write_text('{"rows": [{}]}')
    with pytest.raises(RunError, match=r"tasks\.json cannot be read"):
        report(str(run))


def test_a_shorter_run_of_that_size_is_not_compared(here, a_run):  # noqa: F811
    here(forms=())
    page, _ = report(str(a_run("dense-1b-polynorm", ["budget.tokens=262144000"], rows=metrics(1000), steps=1000)))
    assert "Table 1 is of 250,000,000,000: not compared." in text(page)


def test_a_run_that_is_not_finished_is_told(here, a_run):  # noqa: F811
    here(forms=())
    run = a_run()
    (run / "result.json").unlink()
    with pytest.raises(RunError):
        report(str(run))


def test_a_report_needs_neither_torch_nor_matplotlib():
    code = (
        "import sys; import repro.claims.report.start; print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
