"""A set that several machines share out: taken together their parts are what one would have made alone."""

import fcntl
import shutil
from itertools import count

import pytest

from repro import paths
from repro.data.manifest import MANIFEST
from repro.data.preparing import files as prepare_files
from repro.data.preparing import journal, making, parallel
from repro.data.preparing.journal import JOURNAL
from tests.data.trees import contents
from tests.data.written import DOCUMENTS, FOLDER, assert_same, finished_pieces, in_place, killed_at, prepare, refusal


@pytest.fixture(scope="module")
def alone(every, tmp_path_factory):
    """A root where one machine has made all of it."""
    return prepared_in(tmp_path_factory.mktemp("alone"), every)


@pytest.fixture(scope="module")
def whole(alone):
    return contents(alone / FOLDER)


def prepared_in(root, every, *shards):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_DATA", str(root))
        patch.setattr(parallel, "workers", in_place)
        for shard in shards or ((),):
            prepare(*every, *shard)
    return root


@pytest.fixture(scope="module")
def three(every, tmp_path_factory):
    """A root where three machines have each made a part."""
    return prepared_in(tmp_path_factory.mktemp("parts"), every, *([f"shard={number}/3"] for number in (1, 2, 3)))


@pytest.fixture
def shared_out(three, root):
    """The folders of the parts, by number."""
    shutil.copytree(three, root)
    return {number: root / f"{FOLDER}.part-{number}-of-3" for number in (1, 2, 3)}


def assert_merged(root, whole):
    """Nothing but the set, and the lock of those who work on it."""
    assert_same(root / FOLDER, whole)
    assert {path.name for path in (root / "every").iterdir()} == {FOLDER.name, f"{FOLDER.name}.lock"}


def test_parts_taken_together_are_the_same_set_and_nothing_is_made_twice(every, whole, root, shared_out, monkeypatch):
    assert not (root / FOLDER).exists()
    monkeypatch.setattr(prepare_files, "tokenise_files", None)
    prepare(*every)
    assert_merged(root, whole)


def test_a_part_that_is_missing_is_made_with_the_whole(every, whole, root, shared_out):
    shutil.rmtree(shared_out[2])
    kept = {path.name: path.stat().st_ino for path in root.rglob("train/*.bin")}
    assert 0 < len(kept) < len(DOCUMENTS)
    prepare(*every)
    assert_merged(root, whole)
    assert kept.items() <= {path.name: path.stat().st_ino for path in root.rglob("train/*.bin")}.items()


def test_a_part_that_is_still_being_made_is_not_taken(every, whole, root, shared_out):
    running = shared_out[2]
    shutil.rmtree(running)
    downloads = running.with_name(f"{running.name}.downloads")  # so early it is
    downloads.mkdir()
    before = contents(root)
    with running.with_name(f"{running.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert refusal(*every) == (
            f"{running} is still being prepared by another process: wait for it, then run this command again"
        )
    assert downloads.exists()
    assert contents(root) == before | {f"{FOLDER}.lock": b""}
    prepare(*every)
    assert_merged(root, whole)


def test_a_part_of_a_complete_set_is_not_made(every, root, alone, monkeypatch):
    before = contents(shutil.copytree(alone, root))
    monkeypatch.setattr(prepare_files, "tokenise_files", None)
    prepare(*every, "shard=1/2")
    assert contents(root) == before


@pytest.mark.parametrize(
    ("module", "function"),
    [(journal, "_move"), (prepare_files, "_remove"), (paths, "write_whole"), (making, "entropies")],
    ids=["moving", "removing", "writing", "measuring"],
)
def test_taking_parts_together_can_be_killed_at_any_moment(
    module, function, every, whole, root, shared_out, three, monkeypatch
):
    monkeypatch.setattr(prepare_files, "tokenise_files", None)
    for nth in count(0, 5 if function == "_move" else 1):
        if not killed_at(nth, module, function, *every):
            assert nth
            break
        assert not (root / FOLDER / MANIFEST).exists()
        prepare(*every)
        assert_merged(root, whole)
        shutil.rmtree(root)
        shutil.copytree(three, root)


def test_a_part_goes_on_where_it_was_killed(every, whole, root):
    part = root / f"{FOLDER}.part-1-of-2"
    assert killed_at(2, prepare_files, "tokenise_files", *every, "processes=1", "shard=1/2")
    kept = finished_pieces(part)
    assert kept
    assert (part / JOURNAL).is_file()
    prepare(*every, "shard=1/2")
    assert kept.items() <= finished_pieces(part).items()
    prepare(*every)
    assert_merged(root, whole)


def test_parts_of_other_settings_are_refused_and_lose_nothing(every, shared_out, root):
    before = contents(root)
    said = refusal(*every, "held_out=9")
    assert f"{FOLDER.name}.part-1-of-3 was begun with " in said
    assert said.endswith(" held_out=9: give the same, another name=NAME, or remove that folder")
    assert {name: raw for name, raw in contents(root).items() if ".part-" in name} == {
        name: raw for name, raw in before.items() if ".part-" in name
    }
