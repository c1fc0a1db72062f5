"""Numbers of the ledger are those of data/published and of what computes them, to the digits that are given."""

import json
import math
import re

import pytest

from repro import paths
from repro.claims.ledger import published
from repro.claims.ledger.arithmetic import CHECKS
from repro.claims.ledger.claims import ledger
from tests.claims.ledger.test_claims import IN_BRACKETS

TASKS = ("arc_easy", "arc_challenge", "hellaswag", "piqa", "sciq", "winogrande")
PPL_ORDER = ("polynorm", "polyrelu", "swiglu", "gelu", "relu")


def losses(a, b):
    return [(1, a, "train_loss"), (1, b, "train_loss")]


# Cells of tables, in the order in which the row's text has their numbers.
CELLS = {
    "E1": losses("polynorm", "swiglu"),
    "E1b": losses("polyrelu", "swiglu"),
    "E1c": losses("polynorm", "gelu"),
    "E1d": losses("polynorm", "relu"),
    "E1e": losses("polyrelu", "gelu"),
    "E1f": losses("polyrelu", "relu"),
    "E1h": [*losses("polyrelu", "polynorm"), *losses("polynorm", "relu")],
    "E2": [(1, arm, "ppl") for arm in PPL_ORDER],
    "E2b": [(1, arm, "ppl") for arm in PPL_ORDER],
    "E3": [(1, arm, "average") for arm in ("swiglu", "gelu", "relu", "polyrelu", "polynorm")],
    "E3c": [(1, "polynorm", task) for task in TASKS],
    "E6": [(5, "swiglu", "parameters")],
    "E6b": [(5, "swiglu", "d_ff"), (5, "others", "d_ff"), (6, "swiglu", "d_ff"), (6, "polynorm", "d_ff")],
    "M2c": [(2, "polynorm", "average"), (2, "swiglu", "average")],
    "M3b": [(3, "polynorm", "average"), (3, "swiglu", "average")],
    "M3c": [(3, "polynorm", "average"), (3, "swiglu", "average")],
    "M5": [(6, "polynorm", "parameters"), (6, "polynorm", "active")],
}
# Numbers that the text states, by their name in text.csv.
STATED = {"E4": "gain_in_table_1", "E4b": "gain_in_table_1", "M2b": "gain_in_table_2", "M3": "wins_in_table_3"}
# Digitised, and counts: what computes them.
COMPUTED = {
    "E1g": "losses_rounded",
    "E1i": "figure_1_gap",
    "E3b": "table_1_tasks_significant",  # of how many tasks
    "E5": "figure_1_speedup",
    "E5b": "figure_1_speedup",
    "M1": "figure_3_gap",
    "M1b": "figure_3_gap",
    "M1c": "figure_3_speedup",
    "M2": "table_2_all_lower",
    "M4": "figure_4_last",
    "M4b": "figure_4_last",
    "D7": "table_4_activations",
}
# What the text says outside of its tables: this is where it is held.
TEXT = {
    "D5": "1/3 and 0",
    "E7": "betas 0.9 and 0.95, 3e-4 to 1.5e-5 by cosine, 250 B tokens of RedPajama-1T, context 4096",
    "M6": "4e-4 by cosine, 200 B tokens of OLMoE-mix-0924",
    "R7": "below 0.1 % at about 90 %",
    "T-L2": "O(ln^2(1/eps))",
    "T-2UP": "O(LK ln^2(L alpha^L / eps))",
    "T-2KL": "Omega(KL ln(1/eps))",
    "T-A2": "Omega(ln(1/eps))",
    "T-A4": "O(ln^2 n)",
    "T-SUPP": "superior",
}

NUMBER = re.compile(r"(?<![\w.^])\d[\d,_]*(?:\.\d+)?(?:e[+-]?\d+)?(?: billion)?")
# Places are no numbers.
PLACE = re.compile(r"(?:Tables?|Figures?|Eqs?\.|Lemmas?|Theorems?|sections?) A?\.?\d+(?:(?:-|, | and )\d+)*|\border \d")


def of(name):
    return next(claim for claim in ledger() if claim.id == name)


def numbers(text):
    """Without places, and names in brackets."""
    return [each.rstrip(",") for each in NUMBER.findall(PLACE.sub("", IN_BRACKETS.sub("", text)))]


def value(number):
    return float(number.replace(",", "").replace("_", "").removesuffix(" billion"))


def digit(number):
    """What its last digit is worth; 0 of a whole number, which is counted."""
    mantissa, _, power = number.replace(",", "").replace("_", "").removesuffix(" billion").partition("e")
    if "." not in mantissa and not power:
        return 0.0
    return 10.0 ** (int(power or 0) - len(mantissa.partition(".")[2]))


def stands(number, source):
    """Whether a text has it to as many digits; billions may be written out there."""
    wanted = [value(number), *([1e9 * value(number)] if number.endswith(" billion") else [])]
    return any(
        math.isclose(each, value(other), rel_tol=1e-9, abs_tol=digit(number) / 2)
        for each in wanted
        for other in numbers(source)
    )


def printed_rounding(claim):
    """Half of the last digit of the text's numbers, which have to agree; none of counts."""
    found = {digit(each) / 2 for each in numbers(claim.published.text) if digit(each)}
    return found.pop() if len(found) == 1 else None


@pytest.fixture(scope="module")
def computed():
    """What each name in brackets computes, as text."""
    findings = json.loads((paths.data() / "measured" / "theory.json").read_text())["findings"]
    told = {each["id"]: " ".join([each["measured"], each["differs"], each["key"]]) for each in findings}
    return {name: check().measured for name, check in CHECKS.items()} | told


def test_each_text_with_numbers_says_where_they_are_from():
    texts = {claim.id for claim in ledger() if claim.published and numbers(claim.published.text)}
    assert texts <= CELLS.keys() | STATED.keys() | COMPUTED.keys() | TEXT.keys()
    assert {claim.id for claim in ledger()} >= CELLS.keys() | STATED.keys() | COMPUTED.keys() | TEXT.keys()


@pytest.mark.parametrize("row", CELLS)
def test_numbers_of_tables_are_their_cells(row):
    claim, cells = of(row), [published.cell(*address) for address in CELLS[row]]
    assert numbers(claim.published.text) == [cell.text for cell in cells]
    assert {cell.rounding for cell in cells} in ({0.0}, {claim.published.rounding})
    assert claim.published.cut == all(cell.column == "train_loss" for cell in cells)


@pytest.mark.parametrize("row", STATED)
def test_numbers_of_the_text_are_its_own(row):
    assert [value(each) for each in numbers(of(row).published.text)] == [published.stated(STATED[row])]


@pytest.mark.parametrize("row", COMPUTED)
def test_what_is_digitised_or_counted_is_what_computes_it(computed, row):
    for each in numbers(of(row).published.text):
        assert stands(each, computed[COMPUTED[row]]), each


@pytest.mark.parametrize("row", TEXT)
def test_what_the_text_says_outside_of_tables_is_declared(row):
    assert of(row).published.text == TEXT[row]


def test_a_rounding_is_half_of_the_last_digit_in_the_unit_of_the_text():
    for claim in ledger():
        if claim.published and claim.published.rounding is not None:
            assert claim.published.rounding == pytest.approx(printed_rounding(claim)), claim.id


def test_numbers_of_a_caveat_are_what_its_brackets_compute(computed):
    for claim in ledger():
        for caveat in claim.caveats:
            if names := IN_BRACKETS.findall(caveat):
                source = " ".join(computed[name] for name in names)
                assert not [each for each in numbers(caveat) if not stands(each, source)], (claim.id, caveat)


def test_decimals_of_a_statement_are_printed_or_computed(computed):
    for claim in ledger():
        check = claim.check
        source = computed.get(check.finding or check.arithmetic or "", "")
        if claim.published:
            source += " " + claim.published.text
        decimals = [each for each in numbers(claim.statement) if digit(each)]
        assert not [each for each in decimals if not stands(each, source)], claim.id


# Numbers that could stand in what is computed for another thing: with their words.
@pytest.mark.parametrize(
    ("row", "computed_by", "words"),
    [
        ("M3", "table_3_wins", "7 of 9"),
        ("M3", "table_3_wins", "ARC-E (70.70 < 71.58)"),
        ("M3", "table_3_wins", "WinoGrande (62.19 < 62.75)"),
        ("M4", "figure_4_always", "MMLU-var at 6 of 10"),
        ("M4", "figure_4_always", "ARC-C at 9 of 10"),
        ("M4", "figure_4_always", "SciQ at 9 of 10"),
        ("M3b", "table_3_tasks_significant", "n 0 of 9"),
        ("E3b", "table_1_tasks_significant", "on 2 of 6"),
        ("E2", "perplexity_is_exp_loss", "exp(2.19) = 8.94"),
        ("M6", "moe_rate", "0.3% below the peak"),
    ],
)
def test_words_of_a_caveat_are_those_of_what_computes_it(computed, row, computed_by, words):
    assert any(words in caveat for caveat in of(row).caveats)
    assert words in computed[computed_by]
