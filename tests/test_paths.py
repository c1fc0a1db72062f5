"""Files appear whole or not at all, with the permissions that any other file gets."""

import os

import pytest

from repro import paths


def test_a_reader_sees_the_new_content(tmp_path):
    paths.write_whole(tmp_path / "deep" / "file", "one")
    paths.write_whole(tmp_path / "deep" / "file", b"two")
    assert (tmp_path / "deep" / "file").read_text() == "two"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file"]


def test_others_may_read_what_the_umask_lets_them(tmp_path):
    before = os.umask(0o022)
    paths.write_whole(tmp_path / "file", "one")
    os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch):
    paths.write_whole(tmp_path / "file", "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        paths.write_whole(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_is_written_by_and_by_is_there_when_it_is_complete(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_text("old")
    with paths.whole(tmp_path / "deep" / "file") as file:
        file.write(b"one, ")
        file.flush()
        assert (tmp_path / "deep" / "file").read_text() == "old"
        (aside,) = (tmp_path / "deep").glob(".file.*")
        file.write(b"two")
    assert (tmp_path / "deep" / "file").read_text() == "one, two"
    assert not aside.exists()


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    synced = []

    def sync(descriptor):
        assert not (tmp_path / "file").exists()
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", sync)
    with paths.whole(tmp_path / "file") as file:
        file.write(b"three")
    assert synced == [5]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_of_a_file_whose_writer_stops_nothing_stays(tmp_path, error):
    (tmp_path / "file").write_text("old")

    def write():
        with paths.whole(tmp_path / "file") as file:
            file.write(b"a part")
            raise error

    with pytest.raises(error):
        write()
    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_prepared_data_goes_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path))
    assert paths.prepared() == tmp_path
    monkeypatch.delenv("REPRO_DATA")
    assert paths.prepared().parts[-2:] == (".cache", "repro")
