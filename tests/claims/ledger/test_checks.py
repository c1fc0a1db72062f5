"""What decides a claim, with files whose answer is known."""

import json
from types import SimpleNamespace

import pytest

from repro.claims.evidence import store
from repro.claims.evidence.ladder import Ladder
from repro.claims.evidence.rows import Results
from repro.claims.evidence.study import load
from repro.claims.ledger import checks, findings, studied
from repro.claims.ledger.checks import outcomes
from repro.claims.ledger.claims import Check, Claim, ledger
from repro.claims.ledger.measured import READINGS
from repro.claims.ledger.outcome import DRAWN, HERE, PRINTED
from repro.digests import digest
from repro.errors import RecipeError, ReproError
from repro.theory.findings import Finding
from repro.theory.page import as_json
from tests.claims import made

MADE_WITH = {"repro": "0.1.0+0ce561f", "device": "AMD EPYC", "date": "2026-11-22"}


def claim(**check):
    return Claim(
        id="X1",
        group="Made up",
        place="Nowhere",
        statement="It is so.",
        published=None,
        check=Check(**check),
        command="repro theory",
        scale="one GPU",
        criterion="That it is.",
    )


@pytest.fixture
def decided(tmp_path, monkeypatch):
    """What one check comes to, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(findings, "files", lambda: (tmp_path / "theory" / "theory.json",))
    monkeypatch.setattr(store, "folders", lambda: (tmp_path / "runs" / "studies",))

    def decided(**check):
        monkeypatch.setattr(checks, "ledger", lambda: (claim(**check),))
        return outcomes()[0]

    return decided


@pytest.fixture
def theory(tmp_path):
    """Writes what `repro theory` would, and gives its file."""

    def write(*found):
        file = tmp_path / "theory" / "theory.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(as_json(found, MADE_WITH))
        return file

    return write


def finding(holds, *, as_stated=True, key="0 of 7 differ"):
    return Finding("lemma-1", "Lemma 1", "It is so.", holds, "0 of 7 values differ.", key=key, as_stated=as_stated)


# Findings


@pytest.mark.parametrize(
    ("holds", "as_stated", "words", "status", "measured"),
    [
        (True, True, None, "supported", "0 of 7 differ"),
        (True, True, "paper", "supported", "0 of 7 differ"),
        (True, False, None, "supported", "0 of 7 differ; holds once it is mended"),
        (True, False, "mended", "supported", "0 of 7 differ"),
        (True, False, "paper", "contradicted", "0 of 7 differ; holds only once it is mended"),
        (False, True, None, "contradicted", "0 of 7 differ"),
        (False, False, "paper", "contradicted", "0 of 7 differ"),
    ],
)
def test_a_finding_decides_by_what_holds_as_it_is_stated_or_mended(
    decided, theory, holds, as_stated, words, status, measured
):
    theory(finding(holds, as_stated=as_stated))
    outcome = decided(finding="lemma-1", words=words)
    assert (outcome.status, outcome.scale, outcome.measured) == (status, HERE, measured)
    assert outcome.source.endswith("theory/theory.json: 0.1.0+0ce561f, AMD EPYC, 2026-11-22")


def test_where_nothing_was_computed_a_finding_is_not_run(decided):
    outcome = decided(finding="lemma-1")
    assert (outcome.status, outcome.scale, outcome.measured) == ("not run", "one GPU", "")
    assert outcome.claim.command == "repro theory"


def test_an_observation_decides_nothing_nor_does_what_is_missing(decided, theory):
    theory(finding(None))
    observed = decided(finding="lemma-1")
    assert observed.status == "not run"
    assert "has an observation, which is no statement, called lemma-1; run `repro theory` again" in observed.measured
    assert "has no finding called lemma-9; run `repro theory` again" in decided(finding="lemma-9").measured


def test_an_edited_file_is_told_and_decides_nothing(decided, theory):
    file = theory(finding(False))
    file.write_text(file.read_text().replace('"holds": false', '"holds": true'))
    outcome = decided(finding="lemma-1")
    assert outcome.status == "not run"
    assert "theory.json is not what was written: its digest differs; run `repro theory` again" in outcome.measured


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"digest": "0", "made_with": {}, "findings": [1]}', "\xff", '{"digest": "0", "findings": 3}'],
)
def test_a_damaged_file_is_told_and_decides_nothing(decided, theory, text):
    theory().write_text(text, encoding="latin-1")
    outcome = decided(finding="lemma-1")
    assert outcome.status == "not run"
    assert "cannot be read" in outcome.measured
    assert outcome.measured.endswith("run `repro theory` again")


def test_findings_without_their_verdicts_are_told(decided, theory):
    file = theory(finding(True))
    tree = json.loads(file.read_text())
    del tree["digest"], tree["findings"][0]["holds"]
    whole = json.loads(as_json([], MADE_WITH)) | {"findings": tree["findings"]}
    whole["digest"] = digest({key: value for key, value in whole.items() if key != "digest"}, findings.DIGITS)
    file.write_text(json.dumps(whole))
    assert "lacks what a finding has" in decided(finding="lemma-1").measured


# Arithmetic


def test_printed_numbers_decide_at_their_own_scale(decided):
    wins = decided(arithmetic="table_3_wins")
    assert (wins.status, wins.scale) == ("contradicted", PRINTED)
    assert wins.measured.startswith("7 of 9")
    assert wins.source == "data/published, as the paper prints it"


def test_what_is_told_from_drawn_curves_is_no_printed_number(decided):
    gap = decided(arithmetic="figure_1_gap")
    assert (gap.status, gap.scale) == ("supported", DRAWN)
    assert gap.source == "data/published/curves.csv, digitised from the official drawings"


def test_what_recipes_come_to_was_computed_here(decided):
    widths = decided(arithmetic="gated_widths")
    assert (widths.status, widths.scale) == ("supported", HERE)


# Studies


@pytest.fixture
def ran(tmp_path):
    """Simulated results of a form of a study."""

    def ran(form, effect, *, name="table-1", sd=0.002, **values):
        study = load(name)
        results = made.results(study, form, {study.primary.a: effect}, sd, **values)
        store.write(results, tmp_path / "runs" / "studies" / f"{name}-{form}.csv")

    return ran


PRIMARY = {"study": "table-1", "comparison": "polynorm < swiglu"}


def test_two_sizes_of_one_sign_support_a_claim(decided, ran):
    ran("4m", -0.02)
    ran("10m", -0.02)
    outcome = decided(**PRIMARY)
    assert (outcome.status, outcome.scale) == ("supported", "4m, 10m")
    assert "4m: -0.02" in outcome.measured
    assert "10m: -0.02" in outcome.measured
    assert "over 6 pairs" in outcome.measured
    assert outcome.source.count("NVIDIA H100 80GB HBM3, 2026-11-22") == 2
    assert "table-1-10m.csv: 0.1.0+0ce561f, NVIDIA" in outcome.source


def test_one_size_alone_resolves_nothing_and_says_so(decided, ran):
    ran("4m", -0.02)
    outcome = decided(**PRIMARY)
    assert outcome.status == "not resolved"
    assert outcome.measured.startswith("supported at 4m alone; two sizes have to agree; 4m: -0.02")


def test_the_other_sign_at_two_sizes_contradicts(decided, ran):
    ran("4m", 0.02)
    ran("10m", 0.02)
    assert decided(**PRIMARY).status == "contradicted"


def test_a_smoke_is_shown_as_a_mechanism_and_leaves_the_claim_not_run(decided, ran):
    ran("smoke", -0.05)
    outcome = decided(**PRIMARY)
    assert (outcome.status, outcome.scale) == ("not run", "one GPU")
    assert outcome.measured.startswith("smoke, mechanism only: -0.0")
    assert "[" in outcome.measured
    ran("4m", -0.02)
    assert "mechanism" not in decided(**PRIMARY).measured
    assert "table-1-smoke" not in decided(**PRIMARY).source


def test_a_claim_without_runs_is_not_run(decided):
    outcome = decided(**PRIMARY)
    assert (outcome.status, outcome.measured, outcome.source) == ("not run", "", "")


def test_damaged_results_are_told_and_decide_nothing(decided, ran, tmp_path):
    ran("4m", -0.02)
    (tmp_path / "runs" / "studies" / "table-1-4m.csv").write_text("study\n\x00")
    outcome = decided(**PRIMARY)
    assert outcome.status == "not run"
    assert "is damaged" in outcome.measured


def test_results_that_came_since_are_seen(decided, ran):
    assert decided(**PRIMARY).status == "not run"
    ran("4m", -0.02)
    assert decided(**PRIMARY).status == "not resolved"


BOTH = {
    "study": "figures-6-7",
    "comparison": "polynorm > swiglu in normalised_rank",
    "also": ("polynorm < swiglu in similarity",),
}


@pytest.fixture
def judged(monkeypatch):
    """Verdicts of a study as they are given, by form and rung."""

    def judged(*found):
        verdicts = [given(form, rung, text, status) for form, rung, text, status in found]
        monkeypatch.setattr(studied.Studies, "_verdicts", lambda self, name: (load(name), verdicts))
        monkeypatch.setattr(studied, "over", lambda own: Ladder(*together(own)))

    return judged


def given(form, rung, text, status):
    comparison = made.comparison(text)
    values = {"comparison": comparison, "status": status, "why": f"it is {status}", "mechanism_only": False}
    return SimpleNamespace(rung=rung, size=f"{rung} ({form})", **values), Results((), (), place=f"{form}.csv")


def together(verdicts):
    statuses = {verdict.status for verdict in verdicts}
    return statuses.pop() if len(statuses) == 1 else "not resolved", ", ".join(v.size for v in verdicts), "so it is"


@pytest.mark.parametrize(
    ("rank", "similarity", "status"),
    [
        ("supported", "supported", "supported"),
        ("supported", "not resolved", "not resolved"),
        ("not resolved", "contradicted", "contradicted"),
        ("supported", "not run", "not run"),
        ("contradicted", "not run", "contradicted"),
    ],
)
def test_a_claim_of_two_things_is_what_the_weaker_comes_to(decided, judged, rank, similarity, status):
    judged(("4m", "4m", BOTH["comparison"], rank), ("4m", "4m", BOTH["also"][0], similarity))
    outcome = decided(**BOTH)
    assert outcome.status == status
    assert f"polynorm > swiglu in normalised_rank, {rank}: " in outcome.measured
    assert (f"polynorm < swiglu in similarity, {similarity}: " in outcome.measured) == (similarity != "not run")


def test_of_a_study_with_rungs_only_those_count_that_a_claim_is_about(decided, judged):
    text = "polynorm < relu"
    judged(
        ("4m", "whole", text, "contradicted"), ("4m", "half", text, "supported"), ("4m", "quarter", text, "supported")
    )
    bounded = decided(study="rank-bound", comparison=text, rungs=("half", "quarter"))
    assert bounded.status == "supported"
    assert "whole" not in bounded.measured
    assert decided(study="rank-bound", comparison=text).status == "not resolved"


# Benchmarks


def test_a_damaged_benchmark_decides_nothing_and_is_told(decided, monkeypatch):
    def damaged():
        raise ReproError("data/measured/bench-ffn.csv cannot be read: no number")

    monkeypatch.setitem(READINGS, "polynorm_kept_memory", damaged)
    outcome = decided(measured="polynorm_kept_memory")
    assert (outcome.status, outcome.measured) == ("not run", "data/measured/bench-ffn.csv cannot be read: no number")


# What the ledger names


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (
            {"arithmetic": "table_3_win"},
            "check.arithmetic: no arithmetic is called 'table_3_win'. Did you mean 'table_3_wins'?",
        ),
        ({"measured": "speed"}, "check.measured: no reading is called 'speed'. There are: polynorm_training_speed"),
        ({"study": "table-9", "comparison": "a < b"}, "no study is called 'table-9'. Did you mean 'table-1'?"),
        (
            {"study": "table-1", "comparison": "polynorm < swigl"},
            "check.comparison: table-1 has no comparison 'polynorm < swigl'. Did you mean 'polynorm < swiglu'?",
        ),
        (
            {**BOTH, "also": ("polynorm < swiglu in similarit",)},
            "check.comparison: figures-6-7 has no comparison 'polynorm < swiglu in similarit'. Did you mean",
        ),
        (
            {"study": "rank-bound", "comparison": "polynorm < relu", "rungs": ("halves",)},
            "check.rung: rank-bound has no rung 'halves'. Did you mean 'half'?",
        ),
    ],
)
def test_a_row_that_names_what_there_is_not_is_one_line(decided, check, said):
    with pytest.raises(RecipeError) as refused:
        decided(**check)
    assert str(refused.value).startswith(f"data/claims.yaml: X1: {said}")


def test_what_needs_full_scale_says_so(decided):
    outcome = decided(needs="full scale")
    assert (outcome.status, outcome.measured) == ("not run", "needs full scale")


def test_every_row_of_the_ledger_has_a_status():
    found = outcomes()
    assert [each.claim for each in found] == list(ledger())
    for each in found:
        assert each.status in {"supported", "contradicted", "not resolved", "not run"}
        assert each.scale
        if each.status != "not run":
            assert each.measured, each.claim.id
            assert each.source, each.claim.id
