"""Fetching: a file is whole or not there, and what is there of it is not fetched twice."""

import errno
import hashlib
import random
from contextlib import suppress
from itertools import repeat

import pytest

from repro.data.files import fetch as fetching
from repro.data.files.fetch import fetch
from repro.data.files.inputs import InputFile
from repro.data.files.network import WAITS
from repro.errors import DataError
from tests.data.servers import drops, status

CONTENT = random.Random(0).randbytes(200_000)
NAME = "en/books.00.jsonl.zst"


@pytest.fixture
def published(server):
    """A file of a repository of the hub, with its size and sha256."""
    commit = server.publish("someone/books", {NAME: CONTENT})
    where = f"{server.address}/datasets/someone/books/resolve/{commit}/{NAME}"
    return InputFile(NAME, "en", where, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def unknown(server):
    """A file of the web, of which nothing is published."""
    return InputFile("books.jsonl", "books", server.put("books.jsonl", CONTENT), 0)


def part_of(folder):
    (part,) = folder.glob("*.part")
    return part


def fails(file, folder):
    """The one line that fetching ``file`` ends with."""
    with pytest.raises(DataError) as caught:
        fetch(file, folder)
    assert "\n" not in str(caught.value)
    assert not [path for path in folder.glob("*") if path.suffix != ".part"]
    return str(caught.value)


def ranges(server, end=".zst"):
    return [headers.get("Range") for headers in server.asked(end)]


def test_a_local_file_stays_where_it_is(tmp_path):
    file = InputFile("a.txt", "here", str(tmp_path / "a.txt"), 5)
    assert fetch(file, tmp_path / "folder") == tmp_path / "a.txt"
    assert not (tmp_path / "folder").exists()


def test_a_remote_file_is_fetched_whole_under_a_flat_name_that_keeps_its_suffixes(published, tmp_path):
    path = fetch(published, tmp_path / "folder")
    assert path.parent == tmp_path / "folder"
    assert path.name.endswith("-books.00.jsonl.zst")
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def test_two_files_of_one_name_in_two_folders_lie_apart(server, tmp_path):
    first, second = (
        InputFile(f"{folder}/a b?.jsonl", folder, server.put(f"{folder}.jsonl", content), 0)
        for folder, content in (("en", b"one"), ("de", b"two"))
    )
    assert fetch(first, tmp_path).read_bytes() == b"one"
    assert fetch(second, tmp_path).read_bytes() == b"two"
    assert fetch(first, tmp_path).name.endswith("-a_b_.jsonl")


def test_progress_counts_bytes_to_the_size(published, tmp_path):
    told = []
    fetch(published, tmp_path, lambda *report: told.append(report))
    assert told[-1] == ("download", len(CONTENT), len(CONTENT))
    assert {stage for stage, _, _ in told} == {"download"}


def test_progress_knows_the_size_that_the_server_says(server, unknown, tmp_path):
    server.fails("books.jsonl", [drops(70_000)])
    told = []
    fetch(unknown, tmp_path, lambda *report: told.append(report))
    assert {total for stage, _, total in told if stage == "download"} == {len(CONTENT)}


@pytest.mark.parametrize("which", ["published", "unknown"])
def test_what_is_there_whole_is_not_fetched_again(which, request, server, tmp_path):
    file = request.getfixturevalue(which)
    path = fetch(file, tmp_path)
    assert fetch(file, tmp_path) == path
    assert len(server.requests) == 1


@pytest.mark.parametrize("altered", [CONTENT[:-1], CONTENT[:-1] + b"x"])
def test_what_is_there_but_altered_is_fetched_again(altered, published, tmp_path):
    fetch(published, tmp_path).write_bytes(altered)
    assert fetch(published, tmp_path).read_bytes() == CONTENT


def test_a_file_of_another_revision_does_not_continue_the_part_of_this_one(server, published, tmp_path):
    server.fails(".zst", repeat(drops(1000)))
    server.ranges = False
    fails(published, tmp_path)
    server.faults.clear()
    other = random.Random(1).randbytes(300_000)
    server.replace(".zst", other)
    newer = InputFile(NAME, "en", published.where, len(other), hashlib.sha256(other).hexdigest())
    assert fetch(newer, tmp_path).read_bytes() == other


def test_a_connection_that_breaks_is_resumed_where_it_broke(server, published, tmp_path):
    server.fails(".zst", [drops(70_000), status(503), drops(50_000)])
    assert fetch(published, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=70000-", "bytes=70000-", "bytes=120000-"]


def test_attempts_that_get_further_are_not_counted(server, published, tmp_path):
    server.fails(".zst", [drops(5000)] * 39)
    assert fetch(published, tmp_path).read_bytes() == CONTENT
    assert server.waits == [WAITS[0]] * 39


def test_a_part_is_kept_and_resumed_by_the_next_command(server, published, tmp_path):
    server.fails(".zst", [drops(70_000), *[status(503)] * 5])
    assert "; the part of 70000 bytes is kept, run the same command again" in fails(published, tmp_path)
    assert part_of(tmp_path).read_bytes() == CONTENT[:70_000]
    server.requests.clear()
    assert fetch(published, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == ["bytes=70000-"]


@pytest.mark.parametrize("which", ["published", "unknown"])
def test_a_part_that_was_whole_before_it_was_renamed_is_not_fetched_again(which, request, server, tmp_path):
    file = request.getfixturevalue(which)
    path = fetch(file, tmp_path)
    path.rename(f"{path}.part")
    server.requests.clear()
    assert fetch(file, tmp_path).read_bytes() == CONTENT
    assert [headers["Range"] for _, headers in server.requests] == ["bytes=200000-"] * (which == "unknown")


def test_a_server_that_knows_no_ranges_sends_all_from_the_start(server, published, tmp_path):
    server.ranges = False
    server.fails(".zst", [drops(70_000), drops(10), drops(90_000)])
    assert fetch(published, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_body_that_stays_short_is_given_up(knows_ranges, server, published, tmp_path):
    server.ranges = knows_ranges
    server.replace(".zst", CONTENT[:-100])
    message = fails(published, tmp_path)
    assert f"127.0.0.1:{server.port} ends {NAME} after 199900 of 200000 bytes; the part of 199900 bytes" in message
    assert len(server.requests) == 6


def test_a_server_without_ranges_that_always_breaks_at_the_same_byte_is_given_up(server, published, tmp_path):
    server.ranges = False
    server.fails(".zst", repeat(drops(70_000)))
    assert "the part of 70000 bytes is kept" in fails(published, tmp_path)
    assert len(server.requests) == 6


def test_a_part_longer_than_a_file_of_unknown_size_is_fetched_from_the_start(server, unknown, tmp_path):
    path = fetch(unknown, tmp_path)
    path.rename(f"{path}.part")
    server.replace("books.jsonl", b"shorter now")
    assert fetch(unknown, tmp_path).read_bytes() == b"shorter now"


def test_a_server_that_sends_another_range_is_asked_for_the_whole(server, published, tmp_path):
    def from_elsewhere(handler, content):
        handler.send(206, {"Content-Range": "bytes 5-9/200000"}, content[5:10])

    server.fails(".zst", [drops(70_000), from_elsewhere])
    assert fetch(published, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=70000-", None]


def test_wrong_bytes_are_removed_and_both_digests_told(server, published, tmp_path):
    wrong = CONTENT[:-1] + b"x"
    server.replace(".zst", wrong)
    expected, found = published.sha256[:12], hashlib.sha256(wrong).hexdigest()[:12]
    assert f"expected sha256 {expected}, found {found}; removed, run the same command again" in fails(
        published, tmp_path
    )
    assert not list(tmp_path.iterdir())


def test_the_digest_is_also_of_what_was_resumed(server, published, tmp_path):
    server.fails(".zst", [drops(70_000), *[status(503)] * 5])
    fails(published, tmp_path)
    part_of(tmp_path).write_bytes(b"x" + CONTENT[1:70_000])
    assert "expected sha256" in fails(published, tmp_path)
    assert fetch(published, tmp_path).read_bytes() == CONTENT


def test_a_file_longer_than_published_is_removed(server, published, tmp_path):
    server.replace(".zst", CONTENT + b"x")
    assert "expected 200000 bytes, found 200001; removed" in fails(published, tmp_path)
    assert not list(tmp_path.iterdir())


def test_bytes_are_stored_as_the_server_has_them_and_not_unpacked(server, unknown, tmp_path):
    server.fails("books.jsonl", [lambda handler, content: handler.send(200, {"Content-Encoding": "gzip"}, content)])
    assert fetch(unknown, tmp_path).read_bytes() == CONTENT
    assert server.asked("books.jsonl")[0]["Accept-Encoding"] == "identity"


def test_a_full_disk_is_the_callers_to_tell(published, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetching.os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        fetch(published, tmp_path)
    assert caught.value.errno == errno.ENOSPC
    assert part_of(tmp_path).is_file()


@pytest.mark.parametrize("fault", [status(404), status(503)])
def test_a_refused_file_leaves_nothing(fault, server, published, tmp_path):
    server.fails(".zst", repeat(fault))
    assert "answers " in fails(published, tmp_path)
    assert not list(tmp_path.iterdir())


class Killed(BaseException):
    """Stands for a process that ends."""


def test_killed_at_every_report_it_fetches_no_byte_twice(server, published, tmp_path):
    written = []

    def killing(stage, done, total):
        written.append(done)
        raise Killed

    while not list(tmp_path.glob("*.zst")):
        with suppress(Killed):
            fetch(published, tmp_path, killing)
    assert fetch(published, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == [None, *(f"bytes={done}-" for done in written[:-1])]
    assert len(written) > 1
