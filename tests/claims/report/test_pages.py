import dataclasses
import re
from collections import Counter

import pytest

from repro.claims.evidence import store, study
from repro.claims.ledger.claims import Check, Published
from repro.claims.ledger.kinds import RUNS, TIMED, kind
from repro.claims.ledger.outcome import DRAWN, HERE, PRINTED
from repro.claims.report import gathered, pages
from repro.claims.report.as_html import html
from repro.claims.report.as_markdown import markdown
from repro.claims.report.blocks import STATUSES
from tests.claims import made
from tests.claims.report.conftest import outcome
from tests.claims.report.reading import cells, text

VERDICT = re.compile("contradicted|not resolved|not run|supported")
TWO = (("smoke", ("smoke",)), ("4m", ("4m",)), ("10m", ("10m",)))


@pytest.fixture
def headline(here):
    """A table-1 whose PolyNorm is lower by 0.02 at three sizes."""
    return here(made.study(name="table-1", forms=TWO), forms=("smoke", "4m", "10m"))


def both(found):
    page = pages.whole(found)
    return html(page), markdown(page)


def test_the_first_screen_gives_the_headline_with_its_interval_pairs_and_what_could_have_been_seen(headline):
    first = text(html(pages.whole(headline)).split('id="ledger"')[0])
    assert "PolyNorm against SwiGLU: ✓ supported" in first
    verdict = next(v for ran in headline.of("table-1") for v in ran.verdicts if v.form == "10m")
    estimate = verdict.estimate
    assert f"{estimate.mean:+.4f} [{estimate.low:+.4f}, {estimate.high:+.4f}] 6" in first
    assert f"{verdict.smallest_detectable:.2g}" in first
    assert "2.17 against 2.19" in first, "what the paper prints"
    assert "**PolyNorm against SwiGLU:** supported." in markdown(pages.whole(headline))
    assert "Evidence about small networks or short runs: dense-10m, dense-4m." in first
    assert "Nothing here was trained at the paper's size" in first


def test_the_first_screen_counts_the_claims_of_each_verdict(here):
    claims = [outcome(status, id=f"{status[0]}{i}") for n, status in enumerate(STATUSES) for i in range(n + 1)]
    page, plain = both(here(outcomes=claims))
    counts = re.findall(
        r'<li><strong>(\d+)</strong> <span class="mark [\w-]+"><span[^>]*>.</span> ([\w ]+)</span>', page
    )
    assert counts == [("1", "supported"), ("2", "contradicted"), ("3", "not resolved"), ("4", "not run")]
    assert "| 1 | 2 | 3 | 4 |" in plain
    assert (
        "10 claims. What the supported ones rest on: measured runs 0, timings 0, computed here 0, digitised curves 0, "
        "printed numbers 1." in text(page)
    )


FILE = "data/measured/theory.json: 0.1.0+0ce561f, AMD EPYC, 2026-11-22"


def computed(**values):
    """A claim that a finding decides."""
    return dataclasses.replace(
        outcome(check=Check(finding="lemma-1"), **values), scale=HERE, source=values.pop("source", FILE)
    )


def test_the_first_screen_counts_as_the_ledger_does(here):
    found = here(
        outcomes=[computed(id="T1"), outcome(id="E5", check=Check(arithmetic="losses_rounded")), outcome(id="E1")]
    )
    counted = Counter(kind(each.claim) for each in found.outcomes)
    page = text(html(pages.whole(found)))
    assert all(f"{name} {counted[name]}" in page for name in (RUNS, TIMED, HERE, DRAWN, PRINTED))


def test_what_is_read_from_a_file_of_the_kits_is_not_called_computed_here(here):
    page = text(html(pages.whole(here(outcomes=[computed(id="T1")]))))
    assert "Of those computed 1 are read from data/measured/theory.json, which the kit comes with." in page
    assert "✓ supported, computed, data/measured/theory.json" in page
    own = dataclasses.replace(computed(id="T1"), source="theory/theory.json: 0.1.0, AMD EPYC, 2026-11-22")
    page = text(html(pages.whole(here(outcomes=[own]))))
    assert "✓ supported, computed here" in page
    assert "which the kit comes with" not in page.split("Every claim")[0]


def test_the_first_screen_has_the_papers_main_claims_first_with_what_each_rests_on(here):
    claims = [
        outcome(id="A9"),
        outcome("contradicted", id="T9", headline=True, measured="it moves by 2e-16"),
        outcome("not run", id="E9", headline=True, study="table-1", scale=""),
    ]
    page, plain = both(here(made.study(name="table-1"), forms=(), outcomes=claims))
    first = text(page.split('id="ledger"')[0])
    rows = [row for row in cells(page) if row[0].startswith(("T9,", "E9,")) and len(row) == 4]
    assert [row[0][:2] for row in rows] == ["E9", "T9"], "what takes training first"
    assert rows[0][2:] == ["– not run", "nothing yet: repro study table-1"]  # noqa: RUF001
    assert rows[1][2:] == ["✗ contradicted", "exact: it moves by 2e-16"]
    assert first.index("T9") < first.index("A9")
    assert first.count("Statement T9") == 1, "and not once more below"
    assert "What the paper claims above all" in plain


def test_of_many_sizes_the_first_screen_names_all_and_gives_the_largest(here):
    measured = "supported at 4m, 10m and 25m; no p is small enough; 4m: -0.01 nats; 10m: -0.02 nats; 25m: -0.03 nats"
    claims = [outcome(id="E9", headline=True, study="table-1", measured=measured, scale="4m, 10m, 25m")]
    found = cells(html(pages.whole(here(made.study(name="table-1"), forms=(), outcomes=claims))))
    first, whole = ([cell for cell in row if "25m: -0.03" in cell] for row in found if row[0] == "E9, Table 1")
    assert first == ["supported at 4m, 10m and 25m; no p is small enough; 25m: -0.03 nats"]
    assert whole == [measured]


def test_definitions_that_are_met_are_counted_and_are_no_findings(here):
    met = [outcome(id=f"D{n}", group="Definitions") for n in range(3)]
    broken = outcome("contradicted", id="D9", group="Definitions")
    first = text(html(pages.whole(here(outcomes=[*met, broken, outcome(id="T1")]))).split('id="ledger"')[0])
    assert "Beside them 3 definitions that the kit's modules meet" in first
    assert "Statement D0" not in first
    assert "Statement D9 holds" in first
    assert "Statement T1 holds" in first


def test_each_claim_shows_its_criterion_and_its_notes_under_the_statement(here):
    page, plain = both(here(outcomes=[outcome()]))
    row = next(row for row in cells(page) if row[0] == "E1, Table 1")
    shown = "Statement E1 holds.Criterion: the interval excludes 0.Note: the text says 8 of 9 and the table 7."
    assert row[1] == shown
    assert "Statement E1 holds.<br>Criterion: the interval excludes 0.<br>Note: the text says" in plain


@pytest.mark.parametrize(
    ("published", "said"),
    [
        ({"text": "2.17 against 2.19", "rounding": 0.005}, "2.17 against 2.19 (rounded to within 0.005)"),
        (
            {"text": "2.17 against 2.19", "rounding": 0.005, "cut": True},
            "2.17 against 2.19 (digits cut: up to 0.01 more)",
        ),
        ({"text": "11 of 11 sets"}, "11 of 11 sets"),
    ],
)
def test_digits_that_were_cut_are_not_called_rounded_and_counts_are_neither(here, published, said):
    page = html(pages.whole(here(outcomes=[outcome(published=Published(**published))])))
    assert next(row for row in cells(page) if row[0] == "E1, Table 1")[4] == said


def test_table_4_is_in_our_notation_and_is_not_called_printed(here):
    page = text(html(pages.whole(here(outcomes=[outcome()])))).split("Table 4: seventeen")[1].split("Table 5")[0]
    assert "in our notation, with CELU's two spellings of alpha made one" in page
    assert "formula, printed" not in page


def test_digitised_curves_are_said_to_be_of_paths_and_not_of_pixels(here):
    page = text(html(pages.whole(here(outcomes=[outcome()])))).split("Printed numbers are the paper's")[1]
    assert "from the paths of lines in the official repository's drawings, not from pixels" in page
    assert "off pictures" not in page


def test_where_nothing_ran_it_says_so_and_gives_the_commands(here):
    page, plain = both(here(made.study(name="table-1"), forms=(), outcomes=[outcome("not run", study="table-1")]))
    assert "PolyNorm against SwiGLU: – not run" in text(page)  # noqa: RUF001
    assert "No study has run here" in text(page)
    assert "`repro study table-1 scale=smoke`" in plain
    assert "`repro study table-1 scale=10m`" in plain


def test_the_two_pages_have_the_same_verdicts(here):
    studies = made.study(name="table-1", forms=TWO), made.study(name="other", primary="relu < polynorm", secondary=())
    claims = [outcome(status, id=f"E{n}") for n, status in enumerate(STATUSES)]
    page, plain = both(here(*studies, outcomes=claims))
    ours = [VERDICT.findall(" ".join(row)) for row in cells(page)]
    theirs = [VERDICT.findall(" ".join(row)) for rows in tables(plain)[1:] for row in rows]  # the first has the counts
    assert [found for found in ours if found] == [found for found in theirs if found]
    assert sum(map(len, ours)) > 20


def test_every_number_of_a_smoke_is_stamped(here):
    found = here(made.study(name="table-1"), forms=("smoke",))
    page = html(pages.whole(found))
    assert "No evidence about the paper's networks yet." in text(page)
    rows = [row for row in cells(page) if re.search(r"[+-]0\.\d{4} \[", " ".join(row))]
    assert len(rows) >= 3
    assert all("mechanism only" in " ".join(row) for row in rows)
    captions = re.findall(r"<caption>(.*?)</caption>", page)
    assert all("mechanism only" in each for each in captions if "dense smoke" in each)
    assert all("mechanism only" in each for each in re.findall(r'aria-label="([^"]*)"', page) if "smoke" in each)


def test_a_mean_stands_out_only_where_its_interval_leaves_out_zero(here):
    effects = {"polynorm": -0.03, "relu": -0.03, "swiglu": 0.0}
    named = made.study(name="table-1", primary="polynorm < swiglu", secondary=("polynorm < relu",))
    page, plain = both(here(named, forms=("smoke", "10m"), effects=effects))
    strong = re.findall(r"<strong>([+-][\d.]+)</strong> (\[[^\]]*\])", page)
    assert len(strong) == 1, "the primary comparison at 10m; a smoke decides nothing, and the other is within the noise"
    assert all(ends_agree(interval) for _, interval in strong)
    assert re.findall(r"\*\*([+-][\d.]+)\*\*", plain) == [mean for mean, _ in strong]


def ends_agree(interval):
    low, high = (float(each) for each in interval.strip("[]").split(","))
    return low * high > 0


def test_an_edited_file_is_told_where_its_numbers_stand_and_in_the_provenance(here, tmp_path):
    here(made.study(name="table-1"), forms=("10m",))
    path = tmp_path / "runs" / "studies" / "table-1-10m.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-2], re.sub(r",3\.\d{5,}", ",3.0", lines[-2], count=1), lines[-1], ""]))
    page = html(pages.whole(gathered.everything()))
    assert "Edited after it was written: the row of swiglu at 10m, seed 5" in text(page)
    assert "edited: 1 place" in text(page)


def test_a_damaged_file_is_named_and_the_rest_is_shown(here, tmp_path):
    here(made.study(name="table-1"), forms=("smoke", "10m"))
    (tmp_path / "runs" / "studies" / "table-1-10m.csv").write_text("nothing\n1\n")
    page = text(html(pages.whole(gathered.everything())))
    assert "table-1-10m.csv is damaged" in page
    assert "table-1 at smoke (mechanism only)" in page


def test_runs_that_are_missing_are_named_with_their_command(here, tmp_path):
    named = made.study(name="table-1")
    here(named, forms=("10m",), seeds=2)
    page = markdown(pages.whole(gathered.everything())).split('id="missing"')[1]
    assert (
        "table-1 at 10m: polynorm at 10m, seeds 2, 3, 4, 5; swiglu at 10m, seeds 2, 3, 4, 5; relu at 10m, seed 2"
        in page
    )
    assert "`repro study table-1 scale=10m`" in page


def test_a_diverged_run_is_counted_and_its_arm_has_no_difference(here):
    page = html(pages.whole(here(made.study(name="table-1"), forms=("10m",), diverging=[("swiglu", 1)])))
    rows = cells(page)
    assert any("1 of 6" in row for row in rows if row[0] == "swiglu")
    first = next(row for row in rows if row[0] == "dense 10m")
    assert "not resolved" in first[1]
    assert "diverged" in first[2]


def test_the_best_rate_at_an_edge_is_marked(here):
    page = html(pages.whole(here(made.study(name="table-1"), forms=("10m",), best={"swiglu": 2.0})))
    assert "At an edge of those tried, so that a better may lie beyond: swiglu." in text(page)
    assert ">swiglu (edge)</text>" in page


def test_words_of_a_study_are_no_markup(here):
    bad = made.study(name="table-1", question="Is a<b & c | `d`? <script>alert(1)</script>", about="*bold* <i>|</i>")
    claims = [outcome(statement="x <b>|</b> *y*", measured="", id="A|<i>", group="<G> | g")]
    page, plain = both(here(bad, outcomes=claims))
    assert "<script" not in page
    assert "<i>" not in page
    assert "Is a<b & c | `d`? <script>alert(1)</script>" in text(page)
    assert r"\<script\>" in plain
    assert not re.search(r"(?<!\\)<(?!a id|/a>|br>)", plain.replace("`", ""))
    assert all(len(row) == len(rows[0]) for rows in tables(plain) for row in rows), "no cell was broken in two"


def tables(plain):
    found = [[]]
    for line in plain.splitlines():
        if line.startswith("|"):
            found[-1].append(re.split(r"(?<!\\)\|", line))
        elif found[-1]:
            found.append([])
    return [rows for rows in found if rows]


def test_a_sweep_and_several_sizes_are_drawn(here):
    sizes = made.study(name="scaling", forms=(("smoke", ("smoke",)), ("gpu", ("4m", "10m", "25m"))))
    parameters = {"4m": 7_000_000, "10m": 17_000_000, "25m": 34_000_000}
    page = pages.whole(here(sizes, forms=()))
    assert not [figure for figure in page.figures if figure.name.startswith("scaling")]
    found = made.results(sizes, "gpu", {"polynorm": -0.02})
    rows = [
        dataclasses.replace(
            row,
            parameters=parameters[row.rung],
            validation_loss=row.validation_loss + 30 * parameters[row.rung] ** -0.2,
        )
        for row in found.rows
    ]
    store.write(made.gather(rows), store.folders()[0] / "scaling-gpu.csv")
    page = pages.whole(gathered.everything())
    assert {"scaling-gpu-sizes", "scaling-gpu-4m-rates", "scaling-gpu-25m-curves"} <= {f.name for f in page.figures}
    assert "L(N) = E + A N^-alpha" in text(html(page))


def test_speed_ups_stand_in_steps_tokens_flops_and_time(headline):
    rows = [row for row in cells(html(pages.whole(headline))) if row[0] == "polynorm over swiglu"]
    assert len(rows) == 3
    assert all(re.fullmatch(r"1\.\d\d \[\d\.\d\d, \d\.\d\d\]", cell) for row in rows for cell in row[1:5])
    assert all(row[5] == "6" for row in rows)


def test_a_run_without_a_line_leaves_no_speed_up_and_is_named(here):
    found = here(made.study(name="table-1"), forms=("10m",), diverging=[("swiglu", 1), ("swiglu", 4)])
    rows = {row[0]: row[1:] for row in cells(html(pages.whole(found))) if " over " in row[0]}
    assert rows["polynorm over swiglu"] == ["", "", "", "", "no line at seeds 1, 4"]
    assert re.fullmatch(r"\d\.\d\d \[.*\]", rows["polynorm over relu"][0]), "its runs all have one"


def test_a_file_that_was_passed_over_is_told(here, monkeypatch):
    found = here(made.study(name="table-1"), forms=("10m",))
    (ran,) = found.ran
    told = dataclasses.replace(
        ran.results, passed_over="runs/studies/table-1-10m.csv holds 1 main run and the kit's 12"
    )
    page = pages.whole(dataclasses.replace(found, ran=(dataclasses.replace(ran, results=told),)))
    assert "runs/studies/table-1-10m.csv holds 1 main run and the kit's 12." in text(html(page))


def test_what_is_judged_by_signs_says_what_it_rests_on(here):
    named = made.study(name="table-1", primary="polynorm < swiglu in largest_magnitude", secondary=())
    found = here(named, forms=("10m",), effects={"polynorm": -1.0})
    (verdict,) = found.ran[0].verdicts
    assert verdict.estimate is None
    row = next(row for row in cells(html(pages.whole(found))) if row[0].endswith("(primary)") and len(row) == 8)
    assert row[3:5] == ["", ""]
    assert row[7] == verdict.why


def test_a_scale_that_a_form_widens_is_not_called_by_the_scales_name(here):
    wide = {"wide": {"scale": "smoke", "set": {"model.d_model": 512}}}
    found = here(made.study(name="table-1", forms=(("smoke", ("smoke",)), ("wide", wide))), forms=("wide",))
    page = text(html(pages.whole(found)))
    assert "Evidence about small networks or short runs: dense-wide." in page
    assert "dense smoke (wide)" not in page


def test_ppl_is_never_compared(headline):
    page = text(html(pages.whole(headline)))
    assert "PPL is never compared" in page
    names = [figure.name for figure in pages.whole(headline).figures]
    assert "paper-1-ppl" in names
    assert not [name for name in names if "ours" in name and "ppl" in name]


def test_runs_of_the_papers_own_size_are_drawn_over_its_curves(here):
    named = made.study(name="table-1", forms=(("smoke", ("smoke",)), ("1b", ("1b",))))
    page = pages.whole(here(named, forms=("1b",), tokens=250_000_000_000, flops=2e21, steps=953_674, seconds=1e6))
    over = next(figure for figure in page.figures if figure.name == "paper-1-train-loss")
    assert ">polynorm, ours</text>" in over.svg
    assert "Evidence at the paper's size: dense-1b." in text(html(page))


def test_every_study_of_the_kit_has_a_page(tmp_path, monkeypatch):
    folder = tmp_path / "runs" / "studies"
    monkeypatch.setattr(store, "folders", lambda: (folder,))
    monkeypatch.setattr(gathered.checks, "outcomes", lambda judged: [outcome()])
    for name in study.names():
        named = study.load(name)
        for form in ("smoke", named.default):
            store.write(made.results(named, form, seeds=3), folder / f"{name}-{form}.csv")
    page = pages.whole(gathered.everything())
    shown = html(page)
    assert all(f'id="study-{name}-{study.load(name).default}"' in shown for name in study.names())
    names = [figure.name for figure in page.figures]
    assert len(names) == len(set(names)), "each figure has a file of its own"
    anchors = re.findall(r'\bid="([^"]+)"', shown)
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r'href="#([^"]+)"', shown)) <= set(anchors)


def test_a_study_alone_has_its_claims_and_no_others(here):
    claims = [outcome(id="E1", study="table-1"), outcome(id="T1", group="Theory")]
    here(made.study(name="table-1"), made.study(name="other"), outcomes=claims)
    page = text(html(pages.study(gathered.alone("table-1"))))
    assert "Statement E1 holds." in page
    assert "Statement T1 holds." not in page
    assert "other" not in page.split("Where the numbers are from")[1]
