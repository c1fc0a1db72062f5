"""What a run has trained, as others find it: a checkpoint of a step or the newest."""

import pytest

from repro.errors import RunError
from repro.recipe import load
from repro.training import checkpoints
from repro.training.trained import Trained
from tests.conftest import SMALL
from tests.interop import untrained


@pytest.fixture
def folder(tmp_path):
    recipe = load("dense-smoke-polynorm", [f"{key}={value}" for key, value in SMALL.items()])
    return untrained.write(recipe, tmp_path / "run", steps=(5, 10))


def damage(folder, step):
    """As a copy that was cut short leaves it."""
    path = folder / "checkpoints" / checkpoints.name(step)
    (path / checkpoints.FILES).unlink()
    return path


def test_the_newest_is_taken_unless_a_step_is_named(folder):
    assert [one.step for one in Trained.every(folder)] == [5, 10]
    assert (Trained.at(folder).step, Trained.at(folder, 5).step) == (10, 5)


@pytest.mark.parametrize("step", [5, 10])
def test_a_damaged_checkpoint_is_not_passed_over_without_a_word(folder, step):
    path = damage(folder, step)
    for find in (Trained.at, Trained.every):
        with pytest.raises(RunError) as told:
            find(folder)
        assert str(told.value).startswith(f"not whole: {path}; remove what is damaged, or name another")
        assert "\n" not in str(told.value)


def test_a_whole_one_beside_it_is_found_by_its_step(folder):
    damage(folder, 10)
    assert Trained.at(folder, 5).step == 5
    with pytest.raises(RunError, match="no complete checkpoint of step=10; there are those of 5"):
        Trained.at(folder, 10)


def test_one_that_is_being_written_or_removed_is_not_damaged(folder):
    for name in (".writing-step-00000015", ".removing-step-00000005"):
        (folder / "checkpoints" / name).mkdir()
    assert Trained.at(folder).step == 10
