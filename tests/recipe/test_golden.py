"""Golden files: a change to a base or a scale shows, in the diff, what it does to each run of the paper.

Write them anew with ``REPRO_WRITE_GOLDEN=1 python -m pytest tests/recipe/test_golden.py`` and read the diff.
"""

import os
from pathlib import Path

import pytest

from repro.recipe import load
from repro.recipe.loading import paper_items
from repro.recipe.writing import as_yaml

GOLDEN = Path(__file__).parents[1] / "golden"
PAPER = (("dense", "1b"), ("moe", "1b7b"))
NAMES = [f"{family}-{scale}-{activation}" for family, scale in PAPER for activation in paper_items(family, scale)]


@pytest.mark.parametrize("name", [*NAMES, "dense-smoke-polynorm", "moe-smoke-polynorm"])
def test_a_recipe_resolves_to_its_golden_file(name):
    path, resolved = GOLDEN / f"{name}.yaml", as_yaml(load(name), origin=True)
    if os.environ.get("REPRO_WRITE_GOLDEN"):
        path.write_text(resolved)
    assert resolved == path.read_text(), (
        f"{name} no longer resolves to tests/golden/{name}.yaml. If that is meant: "
        "REPRO_WRITE_GOLDEN=1 python -m pytest tests/recipe/test_golden.py"
    )
