"""What is printed is readable in 120 columns, also where it is piped."""

import io

import pytest
from rich.console import Console

from repro.bench import tables
from repro.bench.measurement import Case, Measurement
from tests.bench.conftest import made_up

CASE = Case("polynorm", 64, 2**21)


def printed(measurements):
    console = Console(file=io.StringIO(), width=80)
    tables.print_legend(console)
    tables.print_case(console, measurements)
    return console.file.getvalue().splitlines()


def test_a_case_is_a_line_an_implementation_of_at_most_120_columns():
    ways = {"forward": 0.21234, "backward": 12.3456, "both": 12345.6}
    said = printed(
        [made_up(CASE, name, way, ms) for name in ("ours", "official, recomputed") for way, ms in ways.items()]
        + [made_up(CASE, "ceiling", way, 0.2) for way in ("forward", "backward")]
        + [Measurement(CASE, "official", way, note="out of memory " * 20) for way in ways]
    )
    assert max(map(len, said)) <= 120
    assert "ceiling forward 2684 GB/s, backward 4027 GB/s" in "".join(said)
    assert any(line.split()[:5] == ["ours", "0.2123", "470.9", "12.35", "8.1"] for line in said)
    assert any(line.startswith("official              out of memory") for line in said)
    assert not any(line.startswith("ceiling ") for line in said)


@pytest.mark.parametrize(
    ("value", "said"), [(0.123456, "0.1235"), (123.456, "123.5"), (12345.6, "12346"), (None, "-")], ids=str
)
def test_numbers_have_four_digits(value, said):
    assert tables.digits(value, 8) == f"{said:>8s}"
