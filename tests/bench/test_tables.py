"""What is printed is readable in 120 columns, also where it is piped."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from repro.bench import tables
from repro.bench.activations import CASES
from repro.bench.measurement import Case, Measurement
from repro.bench.targets import verdicts
from repro.bench.timing import Timing
from tests.bench.conftest import LOOK, made_up

CASE = Case("polynorm", 64, 2**21)
WAYS = ("forward", "backward", "both")


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=80)


def lines(console):
    return console.file.getvalue().splitlines()


def ceilings(case=CASE):
    return [
        replace(made_up(case, "ceiling", way, 0.2), look=None, note=note)
        for way, note in (("forward", "torch.neg"), ("backward", "torch.add"))
    ]


def test_a_case_is_a_line_an_implementation_of_at_most_120_columns(console):
    ways = {"forward": 0.21234, "backward": 12.3456, "both": 12345.6}
    tables.print_case(
        console,
        [made_up(CASE, name, way, ms) for name in ("ours", "official, recomputed") for way, ms in ways.items()]
        + ceilings()
        + [Measurement(CASE, "official", way, note="out of memory " * 20) for way in ways],
    )
    said = lines(console)
    assert max(map(len, said)) <= 120
    assert "ceiling forward 2684 GB/s (torch.neg), backward 4027 GB/s (torch.add)" in said[1]
    assert any(line.split()[:5] == ["ours", "0.2123", "470.9", "12.35", "8.1"] for line in said)
    assert any(line.startswith("official              out of memory") for line in said)
    assert not any(line.startswith("ceiling ") for line in said)


def test_a_case_says_how_much_its_times_vary(console):
    noisy = replace(made_up(CASE, "liger", "both", 2.0), timing=Timing(2.0, 1.6, 2.4, 24))
    tables.print_case(console, [*(made_up(CASE, "liger", way, 1.0) for way in WAYS[:2]), noisy, *ceilings()])
    assert lines(console)[2] == "largest spread p80/p20: 1.500 (liger, both) in 24 rounds"


def test_recompilations_are_said_with_their_columns_and_how_many_were_tried(console):
    look = replace(LOOK, recompilations="41 of 48, stopped")
    names = ("ours", "liger in place", "liger", "torch.compile", "official", "official, recomputed")
    measured = [replace(made_up(CASE, name, way, 1.0), look=look) for name in names for way in WAYS]
    tables.print_case(console, measured + ceilings())
    said = lines(console)
    at = said.index("recompilations at 64 columns, of the numbers of tokens tried after the first:")
    assert said[at + 1].startswith("  ours 41 of 48, stopped; liger in place 41 of 48, stopped;")
    assert max(map(len, said)) <= 120


def test_the_legend_says_how_near_the_ceiling_the_narrowest_rows_can_come(console):
    tables.print_legend(console, narrowest=64)
    said = lines(console)
    # 4 x 64 of 4 x 64 + 12 bytes a row, and 6 x 64 of 6 x 64 + 12
    assert said[-1] == (
        "The scales of our PolyNorm, 12 bytes a row, cap its share at 64 columns at 95.5 % forward and 97.0 % backward."
    )
    assert max(map(len, said)) <= 120


@pytest.mark.parametrize("ours", [0.123456, 1.0, 123456.0])
def test_targets_are_two_lines_each_of_at_most_120_columns(console, ours):
    names = {"ours": ours, "liger": 1.0, "torch.compile": 2.0}
    measured = [made_up(case, name, way, ms) for case in CASES[:-1] for name, ms in names.items() for way in WAYS]
    absent = {"liger": "its import failed: " + "RuntimeError: no driver " * 10}
    tables.print_targets(console, verdicts(measured, CASES, {}))
    tables.print_targets(console, verdicts([], CASES, absent))
    said = lines(console)
    assert max(map(len, said)) <= 120
    assert len(said) == 2 * (2 + 2 * 5)
    assert said[2][:15].strip() in {"partly", "missed"}
    assert "of 14 cases, 1 without a time" in said[3]
    assert said[-5].startswith("    at none of 21 cases: liger is absent, its import failed: ")


@pytest.mark.parametrize(
    ("value", "said"), [(0.123456, "0.1235"), (123.456, "123.5"), (12345.6, "12346"), (None, "-")], ids=str
)
def test_numbers_have_four_digits(value, said):
    assert tables.digits(value, 8) == f"{said:>8s}"
