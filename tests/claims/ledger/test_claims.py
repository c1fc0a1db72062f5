"""The ledger as it stands: each row has a check that is there; and what a broken one gets."""

import itertools
import json
import re
from pathlib import Path

import pytest

from repro import paths
from repro.claims.evidence.study import MECHANISM, load, names
from repro.claims.ledger import claims
from repro.claims.ledger.arithmetic import CHECKS
from repro.claims.ledger.claims import ledger
from repro.claims.ledger.measured import READINGS
from repro.cli.app import app
from repro.errors import RecipeError
from repro.recipe import machine

THEORY = Path(__file__).parents[3] / "repro" / "theory"
PAPERS = {"1b", "1b7b", "a3", "imagenet"}  # forms of its networks, or for more than one GPU
IN_BRACKETS = re.compile(r"\[([a-z][a-z0-9_-]+)\]")

# The numbers of the notes on claims of the paper, less what is none: each stands in the ledger under its number.
LISTED = {
    *(f"D{n}" for n in range(1, 10)),
    *(f"E{n}" for n in range(1, 8)),
    *(f"M{n}" for n in range(1, 8)),
    *(f"A{n}" for n in range(1, 11)),
    *(f"Q{n}" for n in range(1, 11)),
    *(f"R{n}" for n in range(1, 8)),
    *(["T-L1", "T-1", "T-A1", "T-L2", "T-2UP", "T-2LOW", "T-A2", "T-A3", "T-CA1", "T-A4", "T-3", "T-OPT", "B1"]),
}

# What is wrong in the paper's text or statements, by the row that it belongs to and what computes it again.
ERRORS = [
    ("M3", "table_3_wins"),
    ("M2b", "table_2_gain"),
    ("E3b", "table_1_consistent"),
    ("E1", "losses_rounded"),
    ("E2", "perplexity_is_exp_loss"),
    ("E2", "perplexity_follows_loss"),
    ("E4", "headline_significant"),
    ("M3b", "table_3_significant"),
    ("M4", "figure_4_always"),
    ("A5", "figure-6-shapes"),
    ("T-EQ", "equivalent-expressivity"),
    ("T-II", "type-ii"),
    ("D3", "polynorm-rms"),
    ("D3", "equation-3"),
    ("E7", "dense_recipe"),
    ("M6", "moe_recipe"),
    ("M6", "moe_rate"),
    ("T-2UP", "theorem-2"),
    ("T-L2", "lemma-2"),
    ("T-2KL", "theorem-2-lower"),
    ("T-A2", "lemma-a2"),
    ("T-A4", "lemma-a4"),
    ("T-3", "theorem-3-d1"),
    ("T-SUP", "against-relu"),
    ("T-SUP", "squares"),
    ("T-1", "theorem-1"),
    ("D6", "equations-5-6"),
    ("D8", "equation-36"),
    ("T-L1", "lemma-1"),
]


@pytest.fixture(scope="module")
def found():
    """The ids of what `repro theory` finds without training, as its modules have them."""
    text = "".join(path.read_text() for path in THEORY.glob("*.py") if path.name != "learned.py")
    ids = set(re.findall(r'\bid=f?"([^"]+)"', text))
    return {each.replace("{dimensions}", n) for each in ids for n in ("1", "2")}


def of(name):
    return next(claim for claim in ledger() if claim.id == name)


def test_every_claim_of_the_notes_has_its_row():
    assert {claim.id for claim in ledger()} >= LISTED


def test_rows_that_belong_together_stand_together():
    headings = [heading for heading, _ in itertools.groupby(claim.group for claim in ledger())]
    assert len(headings) == len(set(headings))


def test_each_check_names_what_there_is(found):
    for claim in ledger():
        check = claim.check
        assert check.finding is None or check.finding in found, claim.id
        assert check.arithmetic is None or check.arithmetic in CHECKS, claim.id
        assert check.measured is None or check.measured in READINGS, claim.id
        if check.study:
            texts = [each.text for each in load(check.study).comparisons]
            assert {check.comparison, *check.also} <= set(texts), claim.id
            assert set(check.rungs) <= {rung for form in load(check.study).forms.values() for rung in form}, claim.id


def test_what_needs_full_scale_alone_has_that_scale():
    for claim in ledger():
        if claim.check.needs == "full scale":
            assert claim.scale == "full scale", claim.id


def test_what_one_gpu_decides_has_two_sizes_that_it_can_train():
    for claim in ledger():
        if claim.check.study and claim.scale == "one GPU":
            assert len(small_sizes(load(claim.check.study), claim.check.rungs)) >= 2, claim.id


def small_sizes(study, rungs):
    """Neither the smoke's nor the paper's."""
    forms = [form for form in study.forms if form != MECHANISM and form not in PAPERS]
    return {study.size(form, rung) for form in forms for rung in study.forms[form] if not rungs or rung in rungs}


def test_the_papers_words_have_a_row_of_their_own_only_where_they_fail():
    found = json.loads((paths.data() / "measured" / "theory.json").read_text())["findings"]
    failing = {each["id"] for each in found if not (each["holds"] and each["as_stated"])}
    to_the_letter = {claim.check.finding for claim in ledger() if claim.check.words == "paper"}
    assert to_the_letter == {"theorem-2-lower", "against-relu"}
    assert to_the_letter <= failing


def test_each_finding_each_arithmetic_and_each_study_stands_in_some_row(found):
    checks = [claim.check for claim in ledger()]
    named = {name for claim in ledger() for caveat in claim.caveats for name in IN_BRACKETS.findall(caveat)}
    assert found <= named | {check.finding for check in checks}
    assert CHECKS.keys() <= named | {check.arithmetic for check in checks}
    assert set(names()) == {check.study for check in checks if check.study}
    assert READINGS.keys() == {check.measured for check in checks if check.measured}


def test_what_a_caveat_names_in_brackets_computes_it(found):
    for claim in ledger():
        for caveat in claim.caveats:
            assert set(IN_BRACKETS.findall(caveat)) <= found | CHECKS.keys(), claim.id


@pytest.mark.parametrize(("row", "computed_by"), ERRORS)
def test_each_error_of_the_paper_is_a_caveat_of_its_row(row, computed_by):
    assert any(computed_by in IN_BRACKETS.findall(caveat) for caveat in of(row).caveats)


def test_each_comparison_that_a_study_takes_from_the_paper_is_a_claim():
    stated = {(claim.check.study, claim.check.comparison) for claim in ledger()}
    for name in names():
        assert {(name, each.text) for each in load(name).comparisons if each.paper} <= stated


def test_what_the_paper_does_not_compare_is_marked_as_ours():
    for claim in ledger():
        check = claim.check
        if check.study and claim.published and "available" in claim.published.text:
            papers = {each.text for each in load(check.study).comparisons if each.paper}
            assert {check.comparison, *check.also} <= papers, claim.id


def test_commands_are_commands():
    verbs = {command.name or command.callback.__name__ for command in app.registered_commands}
    for claim in ledger():
        program, verb, *words = claim.command.split()
        assert program == "repro"
        assert verb in verbs, claim.id
        if verb == "study":
            assert words[1].removeprefix("scale=") in load(words[0]).forms, claim.id
        if "--on" in words:
            assert machine(words[words.index("--on") + 1])


def test_what_trained_models_are_printed_with_has_rounding_and_seeds():
    for claim in ledger():
        if claim.published and claim.group in ("Dense model", "Mixture of experts") and "nats" in claim.published.text:
            assert claim.published.rounding, claim.id
            assert claim.published.seeds == 1, claim.id


ONE = "data/claims.yaml: E1: check has to be one of finding (with words), arithmetic, study with comparison (and also, "
ONE += "rungs), measured and needs"
GOOD = """
claims:
- id: E1
  group: Dense model
  place: Table 1
  statement: It is lower.
  published: null
  check: {finding: lemma-1}
  command: repro theory
  scale: CPU seconds
  criterion: That it is.
"""


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Reads a ledger of another text."""

    def read(text):
        (tmp_path / "claims.yaml").write_text(text)
        return claims._read(paths.data() / claims.FILE)

    monkeypatch.setattr(paths, "data", lambda: tmp_path)
    return read


def test_a_row_needs_no_caveats(read):
    assert read(GOOD)[0].caveats == ()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  place: Table 1\n", "", "data/claims.yaml: E1: place is missing"),
        ("  place:", "  plaec:", "data/claims.yaml: E1: unknown key 'plaec'. Did you mean 'place'?"),
        (
            "CPU seconds",
            "a while",
            "data/claims.yaml: E1: scale is 'a while'; expected 'CPU seconds', 'one GPU' or 'full scale'",
        ),
        (
            "{finding: lemma-1}",
            "{find: lemma-1}",
            "data/claims.yaml: E1: unknown key 'check.find'. Did you mean 'finding'?",
        ),
        ("{finding: lemma-1}", "{finding: lemma-1, needs: full scale}", ONE),
        ("{finding: lemma-1}", "{study: table-1}", ONE),
        ("{finding: lemma-1}", "{finding: lemma-1, also: [a < b]}", ONE),
        ("{finding: lemma-1}", "{needs: full scale, rungs: [half]}", ONE),
        ("{finding: lemma-1}", "{needs: full scale, words: paper}", ONE),
        ("published: null", "published: {text: 3}", "data/claims.yaml: E1: published.text is 3; expected a word"),
        ("- id: E1\n", "- title: E1\n  id: E2\n", "data/claims.yaml: E2: unknown key 'title'."),
        ("- id: E1\n ", "-", "data/claims.yaml: claim 1: id is missing"),
        (GOOD, "claims: []", "data/claims.yaml: expected one key, claims, with a list of them"),
        (GOOD, "claims: [E1]", "data/claims.yaml: claim 1 is str; expected keys with values"),
        (GOOD, f"{GOOD}{GOOD.removeprefix(chr(10) + 'claims:')}", "data/claims.yaml: E1 is the id of two claims"),
    ],
)
def test_a_broken_ledger_is_one_line_that_names_the_row_and_the_key(read, old, new, said):
    assert GOOD.replace(old, new) != GOOD
    with pytest.raises(RecipeError) as refused:
        read(GOOD.replace(old, new))
    assert str(refused.value) == said
