"""What a preparation will take: the numbers, and what is refused before it begins."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from repro.data.files.inputs import InputFile
from repro.data.files.pieces import pieces
from repro.data.preparing.estimate import MARGIN, estimate, free_bytes, tokens_in
from repro.data.preparing.parallel import AHEAD
from repro.errors import DataError
from repro.recipe.preparation import BPE_RATE, RATE

GB = 10**9


class Usage(NamedTuple):
    free: int


def wanted(*sizes, remote=False):
    """Pieces of these sizes."""
    where = "https://somewhere/{}" if remote else "/{}"
    return pieces([InputFile(f"{n}.jsonl", "", where.format(n), size) for n, size in enumerate(sizes)])


def of(made, **changes):
    return estimate(made, **({"tokens": 10**9, "vocab_size": 32_000, "kind": "bpe", "processes": 2} | changes))


def test_files_that_are_here_take_the_disk_of_their_tokens_and_a_margin():
    it = of(wanted(GB, 2 * GB, 5, 6))
    assert (it.files, it.stored_bytes, it.remote_bytes, it.waiting_bytes) == (4, 3 * GB + 11, 0, 0)
    assert (it.tokens, it.shard_bytes) == (10**9, 2 * 10**9)
    assert it.disk_bytes == pytest.approx(MARGIN * 2e9)


def test_more_than_65536_entries_take_twice_the_disk():
    assert of(wanted(GB), vocab_size=65_536).shard_bytes == 2 * 10**9
    assert of(wanted(GB), vocab_size=65_537).shard_bytes == 4 * 10**9


def test_fetched_files_lie_on_the_disk_as_many_at_a_time_as_are_worked_on_the_largest_at_worst():
    sizes = [(number + 1) * GB for number in range(10)]
    it = of(wanted(*sizes, remote=True), processes=2)
    assert it.remote_bytes == it.stored_bytes == sum(sizes)
    assert AHEAD == 2
    assert it.waiting_bytes == (10 + 9 + 8 + 7) * GB
    assert it.disk_bytes == pytest.approx(MARGIN * 2e9 + 34 * GB)
    assert of(wanted(*sizes, remote=True), processes=64).waiting_bytes == sum(sizes)


def test_time_is_counted_in_hours_of_a_core_by_the_speed_of_the_tokenizer():
    assert of(wanted(GB), tokens=int(BPE_RATE * 3600)).core_hours == pytest.approx(1)
    assert of(wanted(GB), tokens=int(RATE * 7200), kind="llama-2").core_hours == pytest.approx(2)
    assert of(wanted(GB), processes=64).core_hours == of(wanted(GB), processes=1).core_hours


def test_nothing_takes_nothing():
    it = of((), tokens=0)
    assert (it.files, it.disk_bytes, it.core_hours) == (0, 0, 0)


def test_too_little_disk_is_refused_with_what_there_is_what_it_takes_and_the_ways_out(tmp_path, monkeypatch):
    it = of(wanted(GB))
    asked = []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or Usage(it.disk_bytes - 1))
    folder = tmp_path / "not" / "there" / "yet"
    with pytest.raises(DataError) as caught:
        it.check_disk(folder)
    assert str(caught.value) == (
        f"{folder} has 2.2 GB free, and preparing needs about 2.2 GB: free space there, set REPRO_DATA to another "
        "folder, or prepare a part with tokens=N"
    )
    assert asked == [tmp_path], "the disk is that of the folder above that is there"
    assert list(tmp_path.iterdir()) == []


def test_as_much_disk_as_it_takes_suffices(tmp_path, monkeypatch):
    it = of(wanted(GB))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(it.disk_bytes))
    it.check_disk(tmp_path)


def test_the_free_space_is_that_of_the_disk(tmp_path, monkeypatch):
    assert 0 < free_bytes(tmp_path / "new") <= shutil.disk_usage(tmp_path).total
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(7 if path == tmp_path else 0))
    assert free_bytes(Path("below/here")) == 7, "a relative folder is below this one"


def test_where_nobody_has_counted_tokens_they_are_guessed_from_the_bytes_and_how_they_are_packed():
    def guessed(name):
        return tokens_in([InputFile(name, "", f"/{name}", 4000)])

    assert guessed("a.jsonl") == guessed("a.txt") == guessed("a") == 1000
    assert guessed("a.jsonl.gz") == 2800
    assert guessed("a.JSONL.ZST") == guessed("a.zip") == 3000
    assert guessed("a.parquet") == 1800
    assert tokens_in([]) == 0
