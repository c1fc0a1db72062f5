"""Which files a folder of one's own gives to a corpus, and why others are left out."""

import bz2
import errno
import gzip
import os
from pathlib import Path

import pyarrow as pa
import pytest

from repro.data.files.listing import in_folder
from repro.errors import DataError
from tests.data.trees import tree

TEXT = "a line of text\n" * 1000
IMAGE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def names(listing):
    return [file.name for file in listing.files]


def refused(root):
    """The one line that listing ``root`` ends with."""
    with pytest.raises(DataError) as caught:
        in_folder(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_file_below_a_folder_is_listed_by_name_with_its_size(tmp_path):
    root = tree(tmp_path / "corpus", {"b/2.txt": TEXT, "b/1.md": TEXT, "a/deep/3": TEXT, "top.jsonl": "{}"})
    listing = in_folder(root)
    assert names(listing) == ["a/deep/3", "b/1.md", "b/2.txt", "top.jsonl"]
    assert [file.subset for file in listing.files] == ["a", "b", "b", "corpus"]
    assert [file.size for file in listing.files] == [len(TEXT)] * 3 + [2]
    assert Path(listing.files[0].where).read_text() == TEXT
    assert {(file.sha256, file.split, file.is_remote) for file in listing.files} == {(None, None, False)}
    assert listing.found_in == f"the folder {root}"
    assert listing.left_out == {}


def test_an_archive_counts_as_a_folder(tmp_path):
    root = tree(tmp_path / "corpus", {"gutenberg.ZIP": "packed", "brown.zip": "packed", "more/x.zip": "packed"})
    assert [file.subset for file in in_folder(root).files] == ["brown", "gutenberg", "more"]


def test_the_current_folder_has_a_name_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tree(tmp_path / "corpus", {"a.txt": TEXT}))
    assert in_folder(Path()).files[0].subset == "corpus"


@pytest.mark.parametrize(("name", "subset"), [("a.b.jsonl.gz", "a.b"), ("books.zip", "books"), ("notes", "notes")])
def test_one_file_is_a_corpus(name, subset, tmp_path):
    root = tree(tmp_path, {name: "content"}) / name
    (file,) = in_folder(root).files
    assert (file.name, file.subset, file.where) == (name, subset, str(root))
    assert in_folder(root).found_in == f"the file {root}"


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".json", ".JSONL"])
@pytest.mark.parametrize("packed", ["", ".gz", ".zst", ".zstd", ".bz2"])
def test_json_lines_are_taken_packed_or_not_by_their_name(suffix, packed, tmp_path):
    (tmp_path / f"a{suffix}{packed}").write_bytes(b"\0")
    assert len(in_folder(tmp_path).files) == 1


def test_other_files_are_taken_if_they_are_text_packed_or_not(tmp_path):
    packings = {
        "": bytes,
        ".gz": gzip.compress,
        ".bz2": bz2.compress,
        ".zst": lambda raw: pa.compress(raw, codec="zstd", asbytes=True),
    }
    for packed, pack in packings.items():
        (tmp_path / f"a.txt{packed}").write_bytes(pack(TEXT.encode()))
        (tmp_path / f"a.tar{packed}").write_bytes(pack(b"a name\0" + TEXT.encode()))
    listing = in_folder(tmp_path)
    assert names(listing) == ["a.txt", "a.txt.bz2", "a.txt.gz", "a.txt.zst"]
    assert listing.left_out == {f"not text (.tar{packed})": 1 for packed in sorted(packings)}


def test_what_is_left_out_is_counted_by_reason(tmp_path):
    root = tree(tmp_path, {"a.txt": TEXT, "empty.txt": "", ".hidden.txt": TEXT, ".git/config": TEXT, "no/.b": TEXT})
    for name in ("1.png", "2.png", "3.PNG", "binary"):
        (root / name).write_bytes(IMAGE)
    (root / "nowhere.txt").symlink_to(root / "gone.txt")
    os.mkfifo(root / "pipe")
    Path(os.fsdecode(bytes(root / "caf\u00e9.txt").replace("\u00e9".encode(), b"\xe9"))).write_text(TEXT)
    listing = in_folder(root)
    assert names(listing) == ["a.txt"]
    assert listing.left_out == {
        "empty": 1,
        "hidden": 3,
        "name not UTF-8": 1,
        "neither file nor folder": 2,
        "not text (.png)": 3,
        "not text (no suffix)": 1,
    }


def test_links_are_followed_to_no_folder_twice(tmp_path):
    root = tree(tmp_path / "corpus", {"a/1.txt": TEXT})
    blobs = tree(tmp_path / "blobs", {"c0ffee": "{}", "more/2.txt": TEXT})
    (root / "a" / "linked.jsonl").symlink_to(blobs / "c0ffee")
    (root / "b").symlink_to(blobs / "more")
    (root / "c").symlink_to(blobs / "more")
    (root / "a" / "loop").symlink_to(root)
    (root / "itself").symlink_to(root / "itself")
    listing = in_folder(root)
    assert names(listing) == ["a/1.txt", "a/linked.jsonl", "b/2.txt"]
    assert listing.files[1].where == str(root / "a" / "linked.jsonl")
    assert listing.left_out == {"linked twice": 2, "neither file nor folder": 1}


def test_a_folder_that_is_not_there_is_told_with_the_nearest_name(tmp_path):
    tree(tmp_path, {"english/a.txt": TEXT})
    assert refused(tmp_path / "englich") == (
        f"there is no folder or file {tmp_path}/englich: expected text, JSON lines, parquet or zip files. "
        "Did you mean 'english'?"
    )


def test_a_folder_without_text_says_what_was_left_out(tmp_path):
    (tmp_path / "1.png").write_bytes(IMAGE)
    (tmp_path / "2.txt").touch()
    assert refused(tmp_path).endswith("holds no text, JSON lines, parquet or zip files: 1 empty, 1 not text (.png)")


def test_an_empty_folder_says_so(tmp_path):
    assert refused(tmp_path).endswith(": it is empty")


def test_a_packed_file_that_cannot_be_unpacked_is_named(tmp_path):
    (tmp_path / "a.txt.gz").write_text("not packed at all")
    assert refused(tmp_path).startswith(f"cannot read {tmp_path / 'a.txt.gz'}: ")


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    root = tree(tmp_path, {"a.txt": TEXT})

    def forbidden(path, mode):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", forbidden)
    assert refused(root) == f"cannot read {root / 'a.txt'}: Permission denied"
