"""A folder is one process's at a time and holds what was made in one way."""

import pytest

from repro.data.images.claim import MARK, claimed
from repro.errors import DataError


def error(out, made="a=1"):
    with pytest.raises(DataError) as caught, claimed(out, made):
        pass
    return str(caught.value)


def test_a_folder_can_be_claimed_again_for_the_same(tmp_path):
    out = tmp_path / "deep" / "out"
    for _ in range(3):
        with claimed(out, "a=1"):
            (out / "1.jpg").write_text("")
    assert (out / MARK).read_text() == "a=1\n"


def test_for_something_else_it_is_refused(tmp_path):
    with claimed(tmp_path, "a=1"):
        pass
    assert error(tmp_path, "a=2") == f"out={tmp_path} was made with a=1, not with a=2: give another out="


def test_a_folder_of_other_files_is_refused_and_left_as_it_was(tmp_path):
    (tmp_path / "mine").write_text("")
    text = f"out={tmp_path} holds other files: expected a folder that is new, empty or from this same command"
    assert error(tmp_path) == text
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_one_that_another_process_has_is_refused(tmp_path):
    with claimed(tmp_path, "a=1"):
        assert error(tmp_path) == f"out={tmp_path} is in use by another process; wait for it, or give another out="


def test_what_a_killed_process_left_aside_is_removed(tmp_path):
    with claimed(tmp_path, "a=1"):
        (tmp_path / "cat").mkdir()
        (tmp_path / "cat" / ".1.jpg.4711").write_text("half")
        (tmp_path / "cat" / "1.jpg").write_text("whole")
        (tmp_path / ".snapshots.1").mkdir()
        (tmp_path / ".notes").write_text("of somebody")
    with claimed(tmp_path, "a=1"):
        assert [path.name for path in (tmp_path / "cat").iterdir()] == ["1.jpg"]
        assert {path.name for path in tmp_path.iterdir()} == {"cat", MARK, ".snapshots.1", ".notes"}
