"""Where runs lie, and which one a person means."""

from pathlib import Path

import pytest

from repro.errors import RecipeError, RunError
from repro.recipe import fingerprint, load
from repro.recipe.runs import find, folder

NAME = "dense-smoke-polynorm"


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """Makes run folders in the default place."""
    monkeypatch.chdir(tmp_path)

    def make(*seeds, overrides=()):
        made = [folder(load(NAME, overrides), seed) for seed in seeds]
        for path in made:
            path.mkdir(parents=True)
            (path / "recipe.yaml").touch()
        return made

    return make


def test_a_run_lies_under_its_recipe_its_science_and_its_seed():
    recipe = load(NAME)
    assert folder(recipe, 3) == Path("runs") / NAME / fingerprint(recipe) / "seed-3"
    assert folder(recipe, 3, Path("/scratch")) == Path("/scratch") / NAME / fingerprint(recipe) / "seed-3"


def test_a_run_is_found_by_its_folder_its_recipe_or_its_seed(ran):
    (first,) = ran(1)
    assert find(str(first)) == find(NAME) == first
    _, second = first, *ran(2)
    assert find(f"{NAME}@2") == second


def test_a_run_is_found_in_another_place(ran, tmp_path, monkeypatch):
    (made,) = ran(1)
    monkeypatch.chdir("/")
    assert find(f"{NAME}@1", tmp_path / "runs") == tmp_path / made


def test_a_run_that_is_not_there(ran):
    with pytest.raises(RunError) as refused:
        find(f"{NAME}@1")
    assert str(refused.value) == f"no run of {NAME}@1 lies in runs; `repro run {NAME}` makes one"


def test_of_a_recipe_with_imported_weights_alone_their_folder_is_named(ran, tmp_path):
    path = folder(load(NAME), 1).parent / "imported-01234567"
    path.mkdir(parents=True)
    (path / "imported.yaml").touch()
    with pytest.raises(RunError) as refused:
        find(NAME)
    assert str(refused.value) == f"no run of {NAME} lies in runs; name the folder of imported weights: {path}"
    made = ran(1)
    assert [find(NAME)] == made


def test_a_run_that_could_be_several(ran):
    first, second = ran(1, 2)
    with pytest.raises(RunError) as refused:
        find(NAME)
    assert str(refused.value) == f"{NAME} could be any of 2 runs; name one: {first}, {second}"
    ran(1, overrides=["lr=1e-3"])
    with pytest.raises(RunError, match=f"{NAME}@1 could be any of 2 runs"):
        find(f"{NAME}@1")


def test_a_folder_that_is_no_run(ran, tmp_path):
    with pytest.raises(RunError) as refused:
        find(str(tmp_path))
    assert str(refused.value) == f"{tmp_path} is not a run's folder: it has no recipe.yaml"
    with pytest.raises(RunError) as refused:
        find("runs/nowhere")
    assert str(refused.value) == "runs/nowhere: there is no such folder; expected a run's folder or recipe[@seed]"


def test_a_recipe_or_seed_that_is_none(ran):
    with pytest.raises(RecipeError, match="no activation is called 'polynrm'"):
        find("dense-smoke-polynrm")
    with pytest.raises(RunError) as refused:
        find(f"{NAME}@two")
    assert str(refused.value) == f"{NAME}@two: 'two' is not a seed; expected a whole number, such as {NAME}@1"
