"""Preparing: killed at any moment and started again, it gives the same bytes."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from repro import paths
from repro.data.manifest import DOCUMENTS, MANIFEST, PAGE, Prepared
from repro.data.preparing.embedded import prepare
from repro.data.preparing.journal import JOURNAL
from repro.errors import DataError
from tests.data.conftest import SHARD_BYTES, VOCABULARY
from tests.data.trees import contents, library, tree

FOLDER = Path("python-stdlib") / f"bpe-{VOCABULARY}"


class Killed(BaseException):
    """Stands for a process that ends."""


def stopping_at(wanted):
    """A progress that kills in its ``wanted``-th report, or in the first of a stage."""
    calls = count()

    def progress(stage, done, total):
        if wanted in (next(calls), stage):
            raise Killed

    return progress


@pytest.fixture
def tiny(tmp_path):
    """A library so small that preparing it makes few reports."""
    root = library(tmp_path / "tiny", n_files=14)
    return {"vocab_size": VOCABULARY, "roots": [root], "shard_bytes": 4 * 1024}


@pytest.fixture
def whole(tiny, tmp_path):
    """What an undisturbed preparation of it leaves."""
    return contents(prepare("python-stdlib", root=tmp_path / "whole", **tiny).folder)


def test_it_leaves_the_tokenizer_the_shards_the_hashes_the_page_and_the_manifest(whole):
    assert {name.split("/")[0] for name in whole} == {
        "tokenizer.json",
        "train",
        "validation",
        DOCUMENTS,
        PAGE,
        MANIFEST,
    }
    assert sum(name.startswith("train/") for name in whole) >= 2


def test_killed_at_any_report_and_started_again_it_gives_the_same_bytes(tiny, whole, tmp_path):
    for call in count():
        root = tmp_path / str(call)
        try:
            prepare("python-stdlib", root=root, progress=stopping_at(call), **tiny)
        except Killed:
            assert not (root / FOLDER / MANIFEST).exists()
        else:
            assert call > 30, "every stage reports"
            break
        assert contents(prepare("python-stdlib", root=root, **tiny).folder) == whole


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_write_and_started_again_it_gives_the_same_bytes(tiny, whole, tmp_path, monkeypatch, after):
    undisturbed = paths.whole  # write_whole writes by it too
    for number in count():
        root, writes = tmp_path / f"{number}", count()

        @contextmanager
        def killing(path, number=number, writes=writes):
            kill = next(writes) == number
            try:
                with undisturbed(path) as file:
                    yield file
                    if kill and not after:
                        raise Killed
                if kill:
                    raise Killed
            except Killed:
                path.with_name(f".{path.name}.k1ll3d").write_bytes(b"a part")  # what a killed writer leaves
                raise

        monkeypatch.setattr(paths, "whole", killing)
        try:
            prepare("python-stdlib", root=root, **tiny)
        except Killed:
            assert not (root / FOLDER / MANIFEST).exists()
        else:
            pieces = sum(name.startswith(DOCUMENTS) for name in whole)
            assert number == len(whole) + pieces + 1, "each file, and the journal after the tokenizer and each piece"
            break
        monkeypatch.setattr(paths, "whole", undisturbed)
        assert contents(prepare("python-stdlib", root=root, **tiny).folder) == whole


SCRIPT = """
    import os, signal, sys
    from pathlib import Path
    from repro.data.preparing.embedded import prepare

    def progress(stage, done, total):
        print(stage, flush=True)
        if stage == "tokenise" and done > 20_000 and "kill" in sys.argv:
            os.kill(os.getpid(), signal.SIGKILL)

    options = dict(vocab_size={vocabulary}, roots=[Path({sources!r})], shard_bytes={shard_bytes})
    print(prepare("python-stdlib", root=Path({root!r}), progress=progress, **options).manifest.fingerprint)
"""


def process(sources, root, *arguments):
    values = {"vocabulary": VOCABULARY, "shard_bytes": SHARD_BYTES, "sources": str(sources), "root": str(root)}
    script = textwrap.dedent(SCRIPT).format(**values)
    return subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True)


def test_a_process_killed_by_the_system_is_made_good(sources_folder, prepare_in, shared_set, tmp_path):
    killed = process(sources_folder, tmp_path, "kill")
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / FOLDER / "train" / "00000.bin").is_file()
    assert not (tmp_path / FOLDER / MANIFEST).exists()
    assert contents(prepare_in(tmp_path).folder) == contents(shared_set.folder)


def test_two_processes_at_once_give_one_set(sources_folder, shared_set, tmp_path):
    both = [process(sources_folder, tmp_path) for _ in range(2)]
    said = [one.communicate()[0].split() for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert {words[-1] for words in said} == {shared_set.manifest.fingerprint}
    assert contents(tmp_path / FOLDER) == contents(shared_set.folder)


def test_the_second_of_two_says_that_it_waits(prepare_in, shared_set, tmp_path):
    (tmp_path / FOLDER).parent.mkdir()
    waits, stages = threading.Event(), []

    def progress(stage, done, total):
        stages.append(stage)
        waits.set()

    with (tmp_path / FOLDER).with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = threading.Thread(target=prepare_in, args=[tmp_path], kwargs={"progress": progress})
        second.start()
        assert waits.wait(10)
    second.join()
    assert stages[0] == "wait for another process that prepares the same"
    assert contents(tmp_path / FOLDER) == contents(shared_set.folder)


def test_a_restart_keeps_the_pieces_that_are_done(prepare_in, tmp_path):
    with pytest.raises(Killed):
        prepare_in(tmp_path, progress=stopping_at("look at what was made"))
    before = {path: path.stat().st_ino for path in (tmp_path / FOLDER).rglob("*.bin")}
    altered = tmp_path / FOLDER / "train" / "00001.bin"
    altered.write_bytes(altered.read_bytes()[::-1])
    prepare_in(tmp_path)
    after = {path: path.stat().st_ino for path in (tmp_path / FOLDER).rglob("*.bin")}
    its_hashes = tmp_path / FOLDER / DOCUMENTS / "train-00001.bin"
    assert {path for path in before if before[path] != after[path]} == {altered, its_hashes}


def test_a_restart_after_the_sources_changed_makes_everything_anew(tiny, whole, tmp_path):
    with pytest.raises(Killed):
        prepare("python-stdlib", root=tmp_path, progress=stopping_at("look at what was made"), **tiny)
    tree(tiny["roots"][0], {f"new_{number}.py": 100 + number for number in range(3)})
    changed = contents(prepare("python-stdlib", root=tmp_path, **tiny).folder)
    assert changed == contents(prepare("python-stdlib", root=tmp_path / "fresh", **tiny).folder) != whole


def test_a_restart_with_fewer_sources_leaves_nothing_of_the_others(tiny, tmp_path):
    with pytest.raises(Killed):
        prepare("python-stdlib", root=tmp_path, progress=stopping_at("look at what was made"), **tiny)
    for path in sorted(tiny["roots"][0].rglob("*.py"))[5:]:
        path.unlink()
    tree(tiny["roots"][0], {f"new_{number}.py": 100 + number for number in range(3)})
    before = contents(tmp_path / FOLDER)
    fewer = contents(prepare("python-stdlib", root=tmp_path, **tiny).folder)
    assert set(before) - set(fewer) > {JOURNAL}
    assert fewer == contents(prepare("python-stdlib", root=tmp_path / "fresh", **tiny).folder)


def test_a_complete_set_is_verified_and_written_no_more(prepare_in, small_set):
    before = {path: path.stat().st_mtime_ns for path in small_set.folder.rglob("*")}
    stages = []
    again = prepare_in(small_set.folder.parents[1], progress=lambda stage, *_: stages.append(stage))
    assert again == small_set
    assert set(stages) == {"verify"}
    assert {path: path.stat().st_mtime_ns for path in small_set.folder.rglob("*")} == before


def test_a_complete_set_stands_when_the_sources_have_changed(tiny, whole, tmp_path):
    tree(tiny["roots"][0], {"new.py": 300})
    assert contents(prepare("python-stdlib", root=tmp_path / "whole", **tiny).folder) == whole


@pytest.mark.parametrize("damage", [lambda raw: raw[:-2], lambda raw: raw[::-1], lambda raw: b"\xff" * len(raw)])
@pytest.mark.parametrize("file", ["train/00001.bin", f"{DOCUMENTS}/validation-00000.bin", "tokenizer.json", MANIFEST])
def test_preparing_a_damaged_set_mends_it_and_says_so(prepare_in, small_set, file, damage):
    whole = contents(small_set.folder)
    path = small_set.folder / file
    path.write_bytes(damage(path.read_bytes()))
    stages = []
    prepare_in(small_set.folder.parents[1], progress=lambda stage, *_: stages.append(stage))
    assert contents(small_set.folder) == whole
    assert any(stage.startswith(f"mend: {path}") for stage in stages)


def test_a_journal_that_cannot_be_read_counts_for_nothing(prepare_in, shared_set, tmp_path):
    with pytest.raises(Killed):
        prepare_in(tmp_path, progress=stopping_at("look at what was made"))
    (tmp_path / FOLDER / JOURNAL).write_bytes(b"\xff")
    assert contents(prepare_in(tmp_path).folder) == contents(shared_set.folder)


def test_a_set_of_an_older_version_is_made_anew_and_says_so(prepare_in, small_set):
    whole = contents(small_set.folder)
    written = json.loads((small_set.folder / MANIFEST).read_text())
    shards = [shard for piece in written.pop("pieces") for shard in piece["shards"]]
    (small_set.folder / MANIFEST).write_text(json.dumps(written | {"schema_version": 1, "shards": shards}))
    stages = []
    prepare_in(small_set.folder.parents[1], progress=lambda stage, *_: stages.append(stage))
    assert contents(small_set.folder) == whole
    assert any("cannot be used: it was made by an earlier version of the kit; " in stage for stage in stages)


def test_a_full_disk_is_told_in_one_line_and_nothing_looks_complete(prepare_in, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError) as caught:
        prepare_in(tmp_path)
    assert str(caught.value) == (
        f"cannot prepare {tmp_path / FOLDER}: No space left on device; "
        "free space there, or set REPRO_DATA to another folder"
    )
    assert not [path for path in (tmp_path / FOLDER).rglob("*") if path.is_file()]


def test_a_folder_that_cannot_be_made_is_told_in_one_line(prepare_in, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        DataError, match=r"^cannot prepare \S+: (Not a directory|File exists) \(\S+\); free space there"
    ):
        prepare_in(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_told_in_one_line(prepare_in, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match=r"^cannot prepare \S+: Permission denied \(\S+\); free space there"):
        prepare_in(tmp_path)


def test_a_vocabulary_without_room_for_the_bytes_is_refused(prepare_in, tmp_path):
    with pytest.raises(DataError, match=r"^vocab_size=256 is too small: expected at least 257, "):
        prepare_in(tmp_path, vocab_size=256)
    assert not list(tmp_path.iterdir())
    assert prepare_in(tmp_path, vocab_size=257).manifest.vocab_size == 257


def test_an_unknown_corpus_is_told_the_nearest(prepare_in, tmp_path):
    with pytest.raises(DataError, match=r"Did you mean 'python-packages'\?"):
        prepare("python-package", vocab_size=512, root=tmp_path)


def test_the_folder_is_that_of_the_environment(sources_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path))
    prepared = prepare("python-stdlib", vocab_size=VOCABULARY, roots=[sources_folder])
    assert prepared.folder == tmp_path / FOLDER
    assert Prepared.open(tmp_path / FOLDER) == prepared


def test_forked_workers_hear_nothing_from_the_tokenizer(prepare_in, tmp_path, capfd):
    prepare_in(tmp_path)
    if not (child := os.fork()):
        os._exit(0)
    os.waitpid(child, 0)
    assert "forked" not in capfd.readouterr().err
