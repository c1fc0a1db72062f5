import dataclasses
import re

import pytest

from repro.claims.evidence import store, study
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
    by = (
        "10 claims. Of the supported ones 0 by runs, 0 by benchmarks, 0 by computed theory, 1 by printed numbers alone."
    )
    assert by in text(page)


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
    assert not re.search(r"(?<!\\)<(?!a id|/a>)", plain.replace("`", ""))
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
