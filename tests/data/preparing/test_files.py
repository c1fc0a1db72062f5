"""Files to a set: killed at any moment and started again, by however many processes, it ends in the same bytes."""

import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from repro.data.files.pieces import pieces
from repro.data.manifest import MANIFEST
from repro.data.preparing import estimate, parallel
from repro.data.preparing import files as prepare_files
from tests.data.trees import contents
from tests.data.written import (
    DOCUMENTS,
    FOLDER,
    KEY,
    VOCABULARY,
    Command,
    assert_same,
    finished_pieces,
    json_lines,
    killed_at,
    opened,
    own_tokenizer,
    prepare,
    refusal,
    texts,
    until,
    written,
)

KILLS = 9
FEW = 2000  # bytes of a piece, so that a small corpus has many


class Undisturbed(NamedTuple):
    """What an undisturbed preparation leaves, and how long it takes."""

    root: Path
    files: dict[str, bytes]
    seconds: float


@pytest.fixture(scope="session")
def whole(every, tmp_path_factory):
    root, began = tmp_path_factory.mktemp("whole"), time.monotonic()
    assert Command([*every, "processes=2"], root).end() == (0, "")
    return Undisturbed(root, contents(root / FOLDER), time.monotonic() - began)


@pytest.fixture
def complete(root, whole):
    """There is a complete set already."""
    shutil.copytree(whole.root, root)
    return root / FOLDER


def rest(root):
    """What is there beside finished files: of writers, and of what was fetched."""
    return [path.name for path in root.rglob("*") if path.name.startswith(".") or "downloads" in path.name]


# One set, whoever makes it


def test_a_set_holds_every_document_of_every_format(whole):
    folders = {"train", "validation", "documents"}
    assert {name.split("/")[0] for name in whole.files} == {"tokenizer.json", "README.md", MANIFEST, *folders}
    shards = {name.split("/")[1].split("-")[0] for name in whole.files if name.startswith("train/")}
    assert shards == set(DOCUMENTS)
    hashes = [len(raw) // 8 for name, raw in sorted(whole.files.items()) if name.startswith("documents/")]
    assert hashes == list(DOCUMENTS.values())


def test_more_processes_give_the_same_bytes(every, whole, tmp_path):
    assert Command([*every, "processes=4"], tmp_path).end() == (0, "")
    assert_same(tmp_path / FOLDER, whole.files)


@pytest.fixture(scope="session")
def many(tmp_path_factory):
    """A folder of many files, of a large and a small subset."""
    sizes = {"large": 8, "small": 2}
    files = {
        f"{subset}/{number:02}.jsonl": json_lines(texts(number + 100 * size, size), "text")
        for subset, size in sizes.items()
        for number in range(20)
    }
    return written(tmp_path_factory.mktemp("corpus") / "many", files)


def of_pieces(n_bytes, monkeypatch):
    monkeypatch.setattr(prepare_files, "pieces", partial(pieces, piece_bytes=n_bytes))


def test_any_size_of_the_pieces_gives_the_same_tokens(many, root, monkeypatch):
    made = {}
    for size in (FEW, 50_000, 10**9):
        of_pieces(size, monkeypatch)
        prepare(f"path={many}", f"vocab_size={VOCABULARY}", f"name=by-{size}")
        there = opened(root / f"by-{size}" / f"bpe-{VOCABULARY}")
        tokens = made[size] = {}
        for shard in there.manifest.shards:
            tokens.setdefault((shard.split, shard.subset), bytearray()).extend(there.map(shard).tobytes())
        assert len(there.manifest.pieces) == {FEW: 40, 50_000: 5, 10**9: 2}[size]
    assert made[FEW] == made[50_000] == made[10**9]


def test_a_part_of_the_tokens_is_taken_in_natural_proportions(many, root, monkeypatch):
    of_pieces(FEW, monkeypatch)
    by = own_tokenizer(root.parent / "tokenizer.json")
    prepare(f"path={many}", f"tokenizer={by}", "name=all")
    everything = opened(root / "all" / f"own-{VOCABULARY}")
    counted = Counter({shard.subset: 0 for shard in everything.manifest.shards})
    for shard in everything.manifest.shards:
        counted[shard.subset] += shard.bytes_of_text
    prepare(f"path={many}", f"tokenizer={by}", "name=third", f"tokens={counted.total() // 12}")  # at 4 bytes each
    third = opened(root / "third" / f"own-{VOCABULARY}")
    assert len(third.manifest.pieces) == pytest.approx(40 / 3, abs=1)
    taken = Counter(shard.subset for shard in third.manifest.shards if shard.split == "train")
    assert abs(taken["large"] - taken["small"]) <= 1
    kept = {piece.name: piece for piece in everything.manifest.pieces}
    assert all(kept[piece.name] == piece for piece in third.manifest.pieces)


# Killed


def test_killed_at_random_moments_it_ends_in_the_same_bytes(every, whole, root):
    """All processes at once, or one worker; what was finished by then is never made anew."""
    rng, kept = random.Random(6), {}
    for _ in range(KILLS):
        command = Command([*every, "processes=2"], root)
        if command.goes_on(rng.uniform(0.4, 1.1) * whole.seconds):
            disturb(command, rng)
        else:
            assert command.end() == (0, "")
        now = finished_pieces(root / FOLDER)
        assert kept.items() <= now.items()
        kept = now
        if (root / FOLDER / MANIFEST).exists():
            assert_same(root / FOLDER, whole.files)
            shutil.rmtree(root)
            kept = {}
    prepare(*every)
    assert_same(root / FOLDER, whole.files)
    assert kept.items() <= finished_pieces(root / FOLDER).items()


def disturb(command, rng):
    if (workers := command.workers) and rng.random() < 0.5:
        os.kill(rng.choice(workers), signal.SIGKILL)
        code, said = command.end()  # which is complete already, if it had nothing more to do
        assert (code, said) == (0, "") or (code == 2 and said.count("\n") == 1 and "ended by SIGKILL" in said), said
    else:
        command.kill()
    until(lambda: not command.processes)


def test_a_worker_that_is_killed_is_told_with_the_way_out(every, tmp_path):
    command = Command([*every, "processes=2"], tmp_path)
    os.kill(until(lambda: command.workers)[0], signal.SIGKILL)
    code, said = command.end()
    assert code == 2
    assert said == (
        "repro: a process that tokenised ended by SIGKILL, as when memory runs out: what is finished stays; "
        "run the same command again, with fewer processes=N if memory is short\n"
    )
    until(lambda: not command.processes)
    assert rest(tmp_path) == []


@pytest.mark.parametrize("when", ["starting", "working"])
def test_ctrl_c_ends_everything_and_leaves_only_what_is_whole(when, every, whole, root):
    command = Command([*every, "processes=2"], root)
    until(lambda: command.workers if when == "starting" else finished_pieces(root / FOLDER))
    os.killpg(command.pid, signal.SIGINT)
    assert command.end() == (130, "repro: interrupted\n")
    until(lambda: not command.processes)
    assert rest(root) == []
    kept = finished_pieces(root / FOLDER)
    prepare(*every)
    assert_same(root / FOLDER, whole.files)
    assert kept.items() <= finished_pieces(root / FOLDER).items()


def test_a_parent_that_is_killed_leaves_no_orphan(every, tmp_path):
    command = Command([*every, "processes=2"], tmp_path)
    until(lambda: finished_pieces(tmp_path / FOLDER))
    os.kill(command.pid, signal.SIGKILL)
    until(lambda: not command.processes, seconds=10)
    assert command.end() == (-signal.SIGKILL, "")


def test_two_processes_at_once_give_one_set(every, whole, tmp_path):
    both = [Command([*every, "processes=1"], tmp_path) for _ in range(2)]
    assert [command.end() for command in both] == [(0, "")] * 2
    assert_same(tmp_path / FOLDER, whole.files)


# A disk that refuses


def test_what_the_disk_refuses_a_worker_is_told_with_the_folder(every, whole, root):
    """A file that may not grow further stands for a full disk, which a test cannot have; it is the same OSError."""
    limited = ["sh", "-c", 'ulimit -f 64; exec "$@"', "limited"]  # 32 KiB or, by bash, 64
    code, said = Command([*every, "processes=1"], root, prefix=limited).end()
    assert code == 2
    assert said == (
        f"repro: cannot prepare {root / FOLDER}: File too large; free space there, "
        "or set REPRO_DATA to another folder\n"
    )
    assert rest(root) == []
    assert not (root / FOLDER / MANIFEST).exists()
    prepare(*every)
    assert_same(root / FOLDER, whole.files)


def test_too_little_disk_is_told_before_anything_is_written(every, root, monkeypatch):
    monkeypatch.setattr(estimate.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    said = refusal(*every)
    assert re.match(rf"{root / FOLDER} has 0\.0 MB free, and preparing needs about \d\.\d MB: free space there, ", said)
    assert not (root / FOLDER).exists()


# What is there already


def test_a_restart_with_another_tokenizer_is_refused_and_loses_nothing(every, root, tmp_path):
    ours, other = (own_tokenizer(tmp_path / f"{seed}" / "tokenizer.json", seed) for seed in (1, 2))
    rest_of = (*every[:2], "processes=1")
    folder = root / "every" / f"own-{VOCABULARY}"
    assert killed_at(4, prepare_files, "tokenise_files", *rest_of, f"tokenizer={ours}")
    kept = finished_pieces(folder)
    assert len(kept) >= 4
    said = refusal(*rest_of, f"tokenizer={other}")
    assert said.startswith(f"{folder} was begun with another tokenizer, of sha256 ")
    assert said.endswith("give the same one, another name=NAME, or remove that folder")
    assert finished_pieces(folder) == kept  # a piece that was not finished may be swept
    prepare(*rest_of, f"tokenizer={ours}")
    opened(folder)
    assert kept.items() <= finished_pieces(folder).items()


def test_a_restart_with_other_settings_is_refused_and_loses_nothing(every, root):
    assert killed_at(4, prepare_files, "tokenise_files", *every, "processes=1")
    before = contents(root / FOLDER)
    said = refusal(*every, "held_out=10")
    assert said == (
        f"{root / FOLDER} was begun with {every[0]} text_key={KEY}, not with {every[0]} text_key={KEY} held_out=10: "
        "give the same, another name=NAME, or remove that folder"
    )
    assert contents(root / FOLDER) == before


def test_a_set_that_is_mended_from_other_files_is_told_to_be_another(root, tmp_path, capsys):
    folder = tmp_path / "changing"
    written(folder, {"a.jsonl": json_lines(texts(1, 60))})
    words = (f"path={folder}", f"text_key={KEY}", f"vocab_size={VOCABULARY}", "name=every")
    prepare(*words)
    there = opened(root / FOLDER)
    shard = there.folder / there.shards("train")[0].file
    shard.write_bytes(shard.read_bytes()[:-2])
    written(folder, {"b.jsonl": json_lines(texts(2, 60))})
    prepare(*words)
    told = capsys.readouterr().out
    assert f"what was mended is another set than before, {opened(root / FOLDER).fingerprint} and no longer " in told
    assert there.fingerprint in told


def test_a_complete_set_with_other_settings_is_refused_with_both_spelt(every, complete):
    before, path = contents(complete), every[0]
    assert refusal(path, *every[2:], "text_key=text", "held_out=10") == (
        f"{complete} is already prepared with {path} text_key={KEY}, and not with {path} held_out=10: "
        "give another name=NAME, or remove that folder"
    )
    assert contents(complete) == before


def test_a_complete_set_is_verified_and_written_no_more(every, complete, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in complete.rglob("*")}
    monkeypatch.setattr(parallel, "workers", None)
    prepare(*every, "processes=1")
    assert {path: path.stat().st_mtime_ns for path in complete.rglob("*")} == before


@pytest.mark.parametrize("file", ["train/web-00005.bin", "validation/wiki-00006.bin", "documents/00003.bin"])
def test_a_piece_that_was_altered_is_mended_alone(file, every, whole, root, complete):
    before = {path: path.stat().st_ino for path in complete.rglob("*.bin")}
    altered = complete / file
    altered.write_bytes(altered.read_bytes()[::-1])
    prepare(*every)
    assert_same(root / FOLDER, whole.files)
    made = {path.stem.split("-")[-1] for path, inode in before.items() if path.stat().st_ino != inode}
    assert made == {altered.stem.split("-")[-1]}
