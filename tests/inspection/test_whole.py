"""`repro analyze` with all that it measures, on small runs: what is left can be read by people and programs."""

import csv
import math
from fnmatch import fnmatch

import pytest

from repro.inspection.columns import COLUMNS, meaning
from repro.inspection.measures import NAMES, WRITES
from repro.inspection.written import ENDINGS

OBVIOUS = {"step", "layer", "name"}


def tables(run):
    found = {}
    for path in (run / "analysis").glob("*.csv"):
        with path.open(newline="") as file:
            found[path.stem] = list(csv.DictReader(file))
    return found


@pytest.fixture
def said(analyze, request):
    request.getfixturevalue(request.param)
    return analyze("tokens=512") if request.param == "a_run" else analyze("images=16")


@pytest.mark.parametrize("said", ["a_run"], indirect=True)
def test_a_language_model_gets_every_part(said, here):
    assert [line.partition(":")[0] for line in said.splitlines()[:4]] == list(NAMES)
    found = tables(here / "run")
    assert set(found) == set(COLUMNS) - {"sparsity_experts", "sparsity_sizes"}
    check(found, here / "run" / "analysis")


@pytest.mark.parametrize("said", ["a_classifier"], indirect=True)
def test_an_image_classifier_gets_what_applies(said, here):
    assert said.splitlines()[0].startswith("states: ")
    assert said.splitlines()[1].startswith("sparsity: ")
    found = tables(here / "run")
    assert set(found) == {"weights", "activations", "overflow", "coefficients"}
    check(found, here / "run" / "analysis")


def expected(folder):
    """Every table, figure and array is one of those that are looked for before they are written."""
    patterns = [pattern for part in WRITES.values() for pattern in part]
    made = [path.stem for ending in ENDINGS for path in folder.glob(f"*{ending}")]
    assert [name for name in made if not any(fnmatch(name, pattern) for pattern in patterns)] == []


def check(found, folder):
    """Every number is one, every column is explained, and every figure is on the page."""
    page, figures = (folder / "README.md").read_text(), list(folder.glob("*.png"))
    assert figures
    expected(folder)
    assert all(f"]({path.name})" in page for path in figures)
    for name, rows in found.items():
        assert rows
        for column in rows[0]:
            assert column in OBVIOUS or column.endswith(("_low", "_high")) or meaning(name, column), (name, column)
        for row in rows:
            assert not [value for value in row.values() if is_no_number(value)]
        assert f"[{name}.csv]({name}.csv)" in page
    assert "nan" not in page.lower().split()


def is_no_number(text):
    try:
        return not math.isfinite(float(text))
    except ValueError:
        return False
