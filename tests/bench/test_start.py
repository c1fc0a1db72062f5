"""Where the rows go is proved before anything is measured, and refused in one line."""

import csv
import os
import tempfile
from pathlib import Path

import pytest

from repro import cli
from repro.bench import decode, ffn, images, loader, step
from repro.bench.rows import Figure


@pytest.fixture
def refused(capsys, monkeypatch):
    """The line of a command that may not measure."""
    monkeypatch.setattr(loader, "measure", lambda: pytest.fail("it measured"))
    monkeypatch.setattr(images, "measure", lambda: pytest.fail("it measured"))
    monkeypatch.setattr(step, "measure", lambda *_: pytest.fail("it measured"))
    monkeypatch.setattr(ffn, "measure", lambda *_: pytest.fail("it measured"))
    monkeypatch.setattr(decode, "measure", lambda *_: pytest.fail("it measured"))

    def run(what, out):
        assert cli.status(["bench", what, "--out", str(out)]) == 2
        said = capsys.readouterr()
        assert not said.out
        assert said.err.count("\n") == 1
        return said.err.strip()

    return run


@pytest.fixture
def file(tmp_path):
    (tmp_path / "a-file").write_text("mine")
    return tmp_path / "a-file"


@pytest.mark.parametrize("what", ["loader", "images", "step", "activations", "ffn", "decode"])
def test_a_file_is_no_folder(refused, file, what):
    assert refused(what, file) == f"repro: --out expects a folder, and {file} is a file; name a folder"
    assert file.read_text() == "mine"


def test_a_folder_below_a_file_cannot_be_made(refused, file):
    assert refused("loader", file / "below") == (
        f"repro: --out {file / 'below'} cannot be written (Not a directory); name another folder"
    )


def test_a_folder_that_cannot_be_written_is_refused(refused, monkeypatch, tmp_path):
    def no(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", no)
    assert refused("loader", tmp_path) == (
        f"repro: --out {tmp_path} cannot be written (Permission denied); name another folder"
    )


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("loader", "bench.csv"),
        ("images", "bench.csv"),
        ("ffn", "bench-ffn.csv"),
        ("decode", "bench-decode.csv"),
        ("step", "bench-training.csv"),
    ],
)
def test_a_file_that_cannot_be_appended_to_is_refused(refused, tmp_path, monkeypatch, what, name):
    path = tmp_path / name
    path.write_text("case,value\n")
    assert "found case,value; move the file away" in refused(what, tmp_path)
    real = os.access
    monkeypatch.setattr(os, "access", lambda asked, mode: Path(asked) != path and real(asked, mode))
    assert refused(what, tmp_path) == f"repro: {path}: the file cannot be written; move it away, or allow writing"
    path.unlink()
    path.mkdir()
    assert refused(what, tmp_path).startswith(f"repro: {path}: expected a file, and there is a folder")


def test_proving_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setattr(loader, "measure", lambda: iter(()))
    assert cli.status(["bench", "loader", "--out", str(tmp_path / "new")]) == 0
    assert not [path for path in (tmp_path / "new").iterdir() if path.name != "bench.csv"]


def test_help_says_what_each_measures_and_writes(capsys):
    assert cli.status(["bench", "--help"]) == 0
    said = capsys.readouterr().out
    for word in ("step:", "loader:", "images:", "activations:", "ffn:", "decode:"):
        assert word in said
    for name in (
        "bench.csv",
        "bench-training.csv",
        "bench-activations.csv",
        "activations.png",
        "bench-ffn.csv",
        "bench-decode.csv",
    ):
        assert name in said


def test_images_are_printed_written_and_judged(monkeypatch, capsys, tmp_path):
    figures = [
        Figure("loader: decode, crop, flip", 512.3456, "images/s per core"),
        Figure("loader against decoder and transforms", 86.0, "%"),
    ]
    monkeypatch.setattr(images, "measure", lambda: iter(figures))
    assert cli.status(["bench", "images", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in said[:2]] == [figure.case for figure in figures]
    assert [line.split()[0] for line in said[4::2]] == ["reached", "missed"]
    rows = list(csv.DictReader((tmp_path / "bench.csv").read_text().splitlines()))
    assert [(row["benchmark"], row["value"]) for row in rows] == [("images", "512.3"), ("images", "86")]
