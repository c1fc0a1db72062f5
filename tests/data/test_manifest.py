"""Prepared data: what opening and verifying find."""

import hashlib
import json
import re

import numpy as np
import pytest

from repro.data.manifest import DOCUMENTS, MANIFEST, PAGE, Prepared, is_older
from repro.errors import DataError

MEND = re.escape("mend it with `repro prepare python-stdlib vocab_size=320`")


def refusal(call):
    with pytest.raises(DataError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def flip(path, place):
    """Alter one byte and keep the size."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_the_totals_are_those_of_the_shards(shared_set):
    assert len(shared_set.shards("train")) > 2
    for split in ("train", "validation"):
        total = shared_set.manifest.totals[split]
        assert total.tokens == shared_set.tokens(split) == sum(len(shared_set.map(s)) for s in shared_set.shards(split))
        assert total.documents == sum(shard.documents for shard in shared_set.shards(split))


def test_a_set_opens_as_it_was_prepared(shared_set):
    assert Prepared.open(shared_set.folder) == shared_set
    shared_set.verify()


def test_a_truncated_shard_is_named_with_both_sizes_and_the_mend(small_set):
    path = small_set.folder / "train" / "00001.bin"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-10])
    said = refusal(lambda: Prepared.open(small_set.folder))
    assert re.fullmatch(rf"\S+train/00001\.bin holds {size - 10} bytes, expected {size}; {MEND}", said)


def test_a_missing_shard_is_named(small_set):
    (small_set.folder / "validation" / "00000.bin").unlink()
    assert "validation/00000.bin holds 0 bytes, expected" in refusal(lambda: Prepared.open(small_set.folder))


@pytest.mark.parametrize(
    "file", ["train/00000.bin", "validation/00000.bin", "documents/train-00000.bin", "tokenizer.json"]
)
def test_an_altered_file_is_found_by_verifying(small_set, file):
    flip(small_set.folder / file, 20)
    said = refusal(Prepared.open(small_set.folder).verify)
    assert re.fullmatch(rf"\S+{file} is missing or altered: its sha256 is not the manifest's; {MEND}", said)


def test_an_altered_manifest_does_not_open(small_set):
    path = small_set.folder / MANIFEST
    path.write_text(path.read_text().replace('"eos_id": 0', '"eos_id": 1'))
    said = refusal(lambda: Prepared.open(small_set.folder))
    assert re.fullmatch(
        r"\S+manifest\.json cannot be used: .*it was altered; prepare it again as it was prepared", said
    )


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema_version": 1}', '{"schema_version": 2}'])
def test_a_manifest_that_cannot_be_read_does_not_open(small_set, content):
    (small_set.folder / MANIFEST).write_text(content)
    assert "manifest.json cannot be used: " in refusal(lambda: Prepared.open(small_set.folder))


@pytest.mark.parametrize(("version", "older"), [("1", True), ("0", True), ("2", False), ("3", False), ('"1"', False)])
def test_a_set_of_an_earlier_version_is_told_as_such(small_set, version, older):
    path = small_set.folder / MANIFEST
    path.write_text(path.read_text().replace('"schema_version": 2', f'"schema_version": {version}, "shards": []'))
    assert is_older(small_set.folder) == older
    said = refusal(lambda: Prepared.open(small_set.folder))
    assert ("manifest.json cannot be used: it was made by an earlier version of the kit; " in said) == older


def test_a_folder_without_a_manifest_is_no_set(tmp_path):
    assert refusal(lambda: Prepared.open(tmp_path)).endswith("holds no prepared data: expected manifest.json")


@pytest.mark.parametrize("change", ["tokens", "sha256"])
def test_a_shard_of_other_contents_does_not_open(small_set, change):
    path = small_set.folder / MANIFEST
    written = json.loads(path.read_text())
    written["pieces"][1]["shards"][0][change] = 7 if change == "tokens" else "5e" * 32
    path.write_text(json.dumps(written))
    assert "its fingerprint is not that of its contents: it was altered" in refusal(
        lambda: Prepared.open(small_set.folder)
    )


def test_a_shard_of_another_split_is_other_data(small_set):
    """The totals are altered with it, as whoever alters one would."""
    path = small_set.folder / MANIFEST
    written = json.loads(path.read_text())
    shard = next(shard for piece in written["pieces"] for shard in piece["shards"] if shard["split"] == "validation")
    shard["split"] = "train"
    for what in ("tokens", "documents", "bytes_of_text"):
        written["totals"]["train"][what] += shard[what]
        written["totals"]["validation"][what] -= shard[what]
    path.write_text(json.dumps(written))
    said = refusal(lambda: Prepared.open(small_set.folder))
    assert "its fingerprint is not that of its contents: it was altered" in said


@pytest.mark.parametrize("what", ["tokens", "documents", "bytes_of_text"])
def test_totals_that_are_not_those_of_the_shards_do_not_open(small_set, what):
    path = small_set.folder / MANIFEST
    written = json.loads(path.read_text())
    written["totals"]["train"][what] += 1
    path.write_text(json.dumps(written))
    said = refusal(lambda: Prepared.open(small_set.folder))
    assert "its totals are not those of its shards: it was altered" in said


def test_the_shards_are_in_the_order_of_the_pieces_by_split(shared_set):
    manifest = shared_set.manifest
    assert [shard.split for shard in manifest.shards] == sorted(shard.split for shard in manifest.shards)
    assert shared_set.shards("train") + shared_set.shards("validation") == manifest.shards
    assert sorted(shard.file for shard in manifest.shards) == sorted(
        shard.file for piece in manifest.pieces for shard in piece.shards
    )


def test_the_hashes_of_the_documents_lie_beside_the_shards(shared_set):
    """Eight bytes of the sha256 of each text, big-endian there and little-endian here, as numbers are on disk."""
    for piece in shared_set.manifest.pieces:
        (shard,) = piece.shards
        tokens = shared_set.map(shard)
        ends = np.flatnonzero(tokens == shared_set.manifest.eos_id)
        texts = [shared_set.tokenizer().decode(part[:-1].tolist()) for part in np.split(tokens, ends + 1)[:-1]]
        hashes = np.fromfile(shared_set.folder / DOCUMENTS / f"{piece.name}.bin", dtype="<u8")
        assert [int(number) for number in hashes] == [
            int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) for text in texts
        ]


def test_the_longest_document_is_named_by_its_place(shared_set, sources_folder):
    for piece in shared_set.manifest.pieces:
        (shard,) = piece.shards
        lengths = np.diff(np.flatnonzero(shared_set.map(shard) == shared_set.manifest.eos_id), prepend=-1)
        assert piece.longest.tokens == lengths.max()
        text = (sources_folder / piece.longest.at).read_text()
        assert len(shared_set.tokenizer().encode(text).ids) + 1 == lengths.max()


def test_the_page_lies_beside_the_shards(shared_set):
    page = (shared_set.folder / PAGE).read_text()
    assert page.startswith("# python-stdlib\n")
    assert shared_set.fingerprint in page


def test_a_model_with_a_smaller_vocabulary_is_refused(shared_set):
    shared_set.check_vocabulary(320)
    shared_set.check_vocabulary(384)  # padded
    said = refusal(lambda: shared_set.check_vocabulary(319))
    assert said.startswith("model.vocab_size=319 is smaller than that of ")
    assert "go up to 319: expected at least 320" in said


def test_the_fingerprint_follows_the_tokens_and_not_the_folder(prepare_in, tmp_path, shared_set):
    again = prepare_in(tmp_path / "elsewhere")
    other = prepare_in(tmp_path / "other", vocab_size=321)
    assert again.manifest.fingerprint == shared_set.manifest.fingerprint != other.manifest.fingerprint
