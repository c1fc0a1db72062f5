"""Token files of dolma, OLMo, numpy and Megatron, imported without tokenising again."""

import os
import pickle
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch

from repro.data.manifest import Piece
from repro.data.text import TextData
from repro.data.tokens import token_file
from repro.data.tokens.imports import SPLIT_RULE, imported, made_from, token_files
from tests.data.token_files import EOS_ID, array, documents, dolma, joined, megatron, own_shard, prepared, raw

SMALL, LARGE = 1000, 100_000  # vocabularies that are stored as uint16 and as uint32
OPTIONS = {
    "name": "00000",
    "vocab_size": SMALL,
    "eos_id": EOS_ID,
    "held_out": 10,
    "split": None,
    "told": lambda n: None,
}

LAYOUTS = {
    "dolma": (SMALL, dolma, "part.npy"),
    "dolma uint32": (LARGE, partial(dolma, dtype="uint32"), "part.npy"),
    "numpy": (SMALL, array, "part.npy"),
    "numpy uint32": (LARGE, partial(array, dtype="uint32"), "part.npy"),
    "numpy big-endian": (SMALL, partial(array, dtype=">u2"), "part.npy"),
    "numpy int64": (LARGE, partial(array, dtype="int64"), "part.npy"),
    "megatron": (SMALL, megatron, "part.bin"),
    "megatron int16": (SMALL, partial(megatron, dtype="int16"), "part.bin"),
    "megatron int32": (LARGE, partial(megatron, dtype="int32"), "part.bin"),
    "megatron int32 to uint16": (SMALL, partial(megatron, dtype="int32"), "part.bin"),
    "megatron int64": (LARGE, partial(megatron, dtype="int64"), "part.bin"),
    "megatron of sentences": (SMALL, partial(megatron, sentence=9), "part.bin"),
}
LINKED = {
    "dolma",
    "dolma uint32",
    "megatron",
    "megatron int16",
    "megatron int32",
    "megatron of sentences",
}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Has even small files come in several chunks, whose borders fall anywhere."""
    monkeypatch.setattr(token_file, "_CHUNK", 1016)


def import_all(root, folder, **changes):
    """The pieces of all token files below ``root``."""
    files = token_files(root)
    return [
        imported(file, folder=folder, **(OPTIONS | {"name": f"{number:05d}"} | changes))
        for number, file in enumerate(files)
    ]


def import_one(path, folder, **changes):
    (piece,) = import_all(path, folder, **changes)
    return piece


def held_out(of):
    """How many of ``documents`` are for training, by the rule."""
    sizes = np.array([len(document) + 1 for document in of])
    return next(n for n in reversed(range(len(of))) if 10 * sizes[n:].sum() >= sizes.sum())


def own_set(folder, of, vocab_size):
    """The set that the kit would make of the same documents, a shard for each file and split."""
    pieces = []
    for number, file in enumerate(of):
        cut = held_out(file)
        shards = [
            own_shard(folder, f"{split}/{number}.bin", split, part, vocab_size)
            for split, part in (("train", file[:cut]), ("validation", file[cut:]))
        ]
        pieces.append(Piece(name=f"{number}", made_from="", shards=tuple(shards)))
    return prepared(folder, pieces, vocab_size)


def batches(of):
    options = {"context": 32, "sequences_per_step": 8, "micro_batch": 4, "steps": 20, "seed": 1, "workers": 0}
    data = TextData(of, **options, validation_tokens=10**9)
    return [batch.clone() for loader in (data.train_dataloader(), data.validation_batches()) for batch in loader]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_imported_files_give_the_batches_of_our_own_shards(tmp_path, layout):
    vocab_size, write, name = LAYOUTS[layout]
    of = [documents(seed, 40 + seed, vocab_size=vocab_size) for seed in range(3)]
    for number, file in enumerate(of):
        write(tmp_path / "theirs" / f"part-{number}" / name, file)
    pieces = import_all(tmp_path / "theirs", tmp_path / "set", vocab_size=vocab_size)
    theirs, ours = prepared(tmp_path / "set", pieces, vocab_size), own_set(tmp_path / "ours", of, vocab_size)
    assert theirs.manifest.totals == ours.manifest.totals
    assert [shard.sha256 for shard in theirs.manifest.shards] == [shard.sha256 for shard in ours.manifest.shards]
    assert {shard.subset for shard in theirs.manifest.shards} == {"part-0", "part-1", "part-2"}
    a, b = batches(theirs), batches(ours)
    assert len(a) == len(b) > 40
    assert all(torch.equal(*pair) and pair[0].dtype == pair[1].dtype for pair in zip(a, b, strict=True))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bytes_that_can_be_used_as_they_are_are_linked_to_and_others_converted(tmp_path, layout):
    vocab_size, write, name = LAYOUTS[layout]
    write(tmp_path / "in" / name, documents(1, 30, vocab_size=vocab_size))
    piece = import_one(tmp_path / "in", tmp_path / "set", vocab_size=vocab_size)
    (file,) = {shard.file for shard in piece.shards}
    assert file == "train/in-00000.bin", "both splits are ranges of one file"
    path = tmp_path / "set" / file
    assert path.is_symlink() == (layout in LINKED)
    assert not path.is_symlink() or path.readlink() == tmp_path / "in" / name
    assert [*path.parent.iterdir()] == [path]


def test_a_link_to_a_file_of_the_folders_own_goes_with_it(tmp_path):
    """As to what was fetched."""
    dolma(tmp_path / "set" / "fetched" / "part.npy", documents(1, 30))
    piece = import_one(tmp_path / "set" / "fetched", tmp_path / "set")
    ours = piece.shards[0].file
    assert str((tmp_path / "set" / ours).readlink()) == "../fetched/part.npy"
    moved = (tmp_path / "set").rename(tmp_path / "elsewhere")
    prepared(moved, [piece], SMALL)


def test_a_piece_says_how_many_documents_and_which_is_the_longest(tmp_path):
    of = documents(5, 50)
    of[17] = [3] * 1500
    dolma(tmp_path / "in" / "c4" / "val" / "part.npy", of)
    piece = import_one(tmp_path / "in", tmp_path / "set")
    assert piece.longest.model_dump() == {"tokens": 1501, "at": "c4/val/part.npy, document 18"}
    cut = held_out(of)
    assert [shard.documents for shard in piece.shards] == [cut, 50 - cut]
    assert [shard.start for shard in piece.shards] == [0, len(joined(of[:cut]))]
    assert {(shard.bytes_of_text, shard.subset) for shard in piece.shards} == {(None, "c4")}
    assert piece.left_out == {}
    assert piece.hashes is None


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_file_that_its_publisher_has_split_is_not_cut(tmp_path, split):
    of = documents(5, 50)
    megatron(tmp_path / "part", of)
    (shard,) = import_one(tmp_path / "part.bin", tmp_path / "set", split=split).shards
    assert (shard.split, shard.file) == (split, f"{split}/part-00000.bin")
    assert (shard.start, shard.tokens, shard.documents) == (0, len(joined(of)), 50)


@pytest.mark.parametrize(("write", "name"), [(dolma, "part.npy"), (megatron, "part.bin")])
@pytest.mark.parametrize(
    ("lengths", "counted"),
    [
        ([9, 9], [1, 1]),
        ([0, 0, 0, 86, 9], [4, 1]),
        ([0, 0, 0, 87, 8], [3, 2]),
        ([5000, 5000, 999], [1, 2]),
        ([99, 1, 1, 1], [4]),
        ([50], [1]),
    ],
)
def test_the_last_documents_with_a_tenth_of_the_tokens_are_for_validation(tmp_path, write, name, lengths, counted):
    """Unless that is all of them: then none is."""
    write(tmp_path / "in" / name, [[1] * length for length in lengths])
    shards = import_one(tmp_path / "in", tmp_path / "set").shards
    assert [shard.documents for shard in shards] == counted
    assert SPLIT_RULE.format(held_out=10).startswith("validation: of each file the last documents that hold 1/10 of")


def test_documents_of_megatron_without_tokens_are_left_out_and_counted(tmp_path):
    of = documents(3, 60)
    none = {0, 1, 20, 59} | {number for number, document in enumerate(of) if number % 3 == 0 and not document}
    megatron(tmp_path / "a" / "part", of, without_tokens=none)
    megatron(tmp_path / "b" / "part", [document for number, document in enumerate(of) if number not in none])
    a, b = (import_one(tmp_path / name, tmp_path / f"{name}-set") for name in "ab")
    assert a.left_out == {"empty documents": len(none)}
    assert [(s.start, s.tokens, s.documents, s.sha256) for s in a.shards] == [
        (s.start, s.tokens, s.documents, s.sha256) for s in b.shards
    ]


def test_a_document_that_was_cut_where_its_file_was_full_is_kept_and_its_end_counted_as_left_out(tmp_path):
    ids = joined(documents(3, 40))
    raw(tmp_path / "part.npy", [*ids, 1, 2, 3])
    piece = import_one(tmp_path / "part.npy", tmp_path / "set", split="train")
    assert piece.left_out == {"ends of documents that were cut where their file was full": 1}
    assert (piece.shards[0].tokens, piece.shards[0].documents) == (len(ids) + 3, 41)


def test_the_same_piece_is_known_by_what_it_was_made_from(tmp_path):
    megatron(tmp_path / "part", documents(1, 30))
    (file,) = token_files(tmp_path)
    facts = {"held_out": 10, "split": None, "vocab_size": SMALL, "eos_id": EOS_ID}
    known = made_from(file, **facts)
    assert import_one(tmp_path, tmp_path / "set").made_from == known
    for change in ({"held_out": 11}, {"split": "train"}, {"vocab_size": 1001}, {"eos_id": 8}):
        assert made_from(file, **(facts | change)) != known
    os.utime(tmp_path / "part.idx", (1, 1))
    assert made_from(file, **facts) != known


def test_progress_is_told_in_bytes_up_to_all(tmp_path):
    said = []
    import_one(array(tmp_path / "part.npy", documents(1, 99)), tmp_path / "set", told=said.append)
    assert len(said) > 5
    assert said == sorted(said)
    assert said[-1] == (tmp_path / "part.npy").stat().st_size
    assert {type(n) for n in said} == {int}


def test_a_worker_gets_a_file_and_needs_no_torch(tmp_path):
    dolma(tmp_path / "part.npy", documents(1, 30))
    megatron(tmp_path / "part", documents(1, 30))
    files = token_files(tmp_path)
    assert pickle.loads(pickle.dumps(files)) == files
    script = "import sys, repro.data.tokens.imports; print({'torch', 'lightning', 'tokenizers'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"


def test_the_files_of_a_folder_are_found_by_name_and_belong_to_its_first_folders(tmp_path):
    of = documents(1, 30)
    for name in ("b/part-10.npy", "b/part-02.npy", "a/val/deep.npy", "top.npy", ".hidden/x.npy", "b/.part.npy"):
        dolma(tmp_path / "root" / name, of)
    megatron(tmp_path / "root" / "b" / "part-07", of)
    array(tmp_path / "root" / "c" / "header.npy", of)
    (tmp_path / "root" / "b" / "notes.txt").write_text("no tokens")
    (tmp_path / "root" / "b" / "other.bin").write_text("no tokens")
    (tmp_path / "root" / "b" / "other.idx").symlink_to("nowhere")
    (tmp_path / "root" / "b" / "round").symlink_to("..")
    found = [(file.name, file.subset, file.kind, file.documents) for file in token_files(tmp_path / "root")]
    assert found == [
        ("a/val/deep.npy", "a", "dolma", None),
        ("b/part-02.npy", "b", "dolma", None),
        ("b/part-07.bin", "b", "megatron", 30),
        ("b/part-10.npy", "b", "dolma", None),
        ("c/header.npy", "c", "numpy", None),
        ("top.npy", "root", "dolma", None),
    ]


def test_a_single_file_is_named_by_itself_or_by_the_prefix_of_both(tmp_path):
    megatron(tmp_path / "v1.5_text_document", documents(1, 30))
    for given in ("v1.5_text_document", "v1.5_text_document.bin", "v1.5_text_document.idx"):
        (file,) = token_files(tmp_path / given)
        assert (file.name, file.subset) == ("v1.5_text_document.bin", "v1.5_text_document")
        assert file.path == tmp_path / "v1.5_text_document.bin"


def test_where_there_are_no_tokens_none_are_found(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "images.idx").write_bytes(b"an index of something else")
    assert token_files(tmp_path) == token_files(tmp_path / "a.txt") == token_files(tmp_path / "nowhere") == ()


def test_folders_that_are_links_are_entered(tmp_path):
    dolma(tmp_path / "elsewhere" / "part.npy", documents(1, 30))
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "c4").symlink_to(tmp_path / "elsewhere")
    assert [file.name for file in token_files(tmp_path / "root")] == ["c4/part.npy"]
