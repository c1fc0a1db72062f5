"""A recipe as YAML."""

import pytest
import yaml

from repro.recipe import load
from repro.recipe.reading import parse
from repro.recipe.writing import _scalar, as_yaml


def test_a_gated_width_is_said_beside_the_plain_one():
    assert "  d_ff: 8_256  # gated: two thirds, 5_504\n" in as_yaml(load("dense-1b-swiglu"))
    assert "  d_ff: 8_256\n" in as_yaml(load("dense-1b-polynorm"))


def test_origins_stand_beside_their_values():
    shown = as_yaml(load("dense-1b-swiglu", ["clip=2"]), origin=True).splitlines()
    assert any(line.split("#") == [line.split("#")[0], " recipes/dense/base.yaml"] for line in shown if "betas" in line)
    assert [line.split("  # ")[1] for line in shown if line.startswith("  clip")] == ["the command line"]
    assert [line.split("  # ")[1] for line in shown if line.startswith("  d_ff")] == [
        "recipes/dense/1b.yaml; gated: two thirds, 5_504"
    ]


def test_any_yaml_reader_reads_it():
    recipe = load("dense-1b-swiglu")
    assert yaml.safe_load(as_yaml(recipe, origin=True)) == recipe.model_dump(mode="json")


@pytest.mark.parametrize(
    "value", ["3e-4", "1_000", "on", "true", "null", "", "a: b", "# no", "16:30", 1e-8, 1e22, None, ["a", "1"]]
)
def test_a_value_is_written_as_it_is_read(value):
    assert parse(_scalar(value), "here") == value
