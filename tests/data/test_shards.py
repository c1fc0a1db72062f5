"""Token shards, byte-compatible with dolma and OLMo."""

import hashlib

import numpy as np
import pytest

from repro.data import shards, tokenizer
from repro.errors import DataError


def test_a_shard_is_what_dolma_writes_and_olmo_reads(shared_set):
    """No header, little-endian uint16, the end of text after each document and nowhere else."""
    path = shared_set.folder / "train" / "00000.bin"
    tokens = np.memmap(path, dtype=np.uint16, mode="r")
    entry = shared_set.shards("train")[0]
    assert len(tokens) == entry.tokens == path.stat().st_size // 2
    assert (tokens == tokenizer.EOS_ID).sum() == entry.documents
    assert tokens[-1] == tokenizer.EOS_ID
    documents = np.split(tokens, np.flatnonzero(tokens == tokenizer.EOS_ID) + 1)[:-1]
    texts = [shared_set.tokenizer().decode(document[:-1].tolist()) for document in documents]
    assert sum(len(text.encode()) for text in texts) == entry.bytes_of_text


def test_the_shards_hold_the_documents_in_order(shared_set, sources_folder):
    text = "".join(
        shared_set.tokenizer().decode(shared_set.map(shard).tolist(), skip_special_tokens=True)
        for shard in shared_set.shards("train")
    )
    paths = sorted(path for path in sources_folder.rglob("*.py"))
    in_train = [path.read_text() for path in paths if path.read_text() in text]
    assert text == "".join(in_train)
    assert len(in_train) == shared_set.manifest.totals["train"].documents


@pytest.mark.parametrize(("vocab_size", "size"), [(65_536, 2), (65_537, 4)])
def test_tokens_take_two_bytes_as_long_as_they_fit(tmp_path, vocab_size, size):
    written = np.array([0, vocab_size - 1], dtype=np.uint32)
    with shards.writing(tmp_path / "a.bin", vocab_size) as writer:
        writer.add(written)
    assert (tmp_path / "a.bin").stat().st_size == 2 * size
    assert shards.read(tmp_path / "a.bin", vocab_size).tolist() == written.tolist()


def test_a_token_beyond_the_vocabulary_is_refused_and_nothing_written(tmp_path):
    def write(*batches):
        with shards.writing(tmp_path / "a.bin", 4096) as writer:
            for batch in batches:
                writer.add(np.array(batch, dtype=np.uint32))

    with pytest.raises(DataError, match=r"a\.bin: token id 70000 is beyond the vocabulary: expected ids below 4096"):
        write([1, 2], [3, 70_000])
    assert not list(tmp_path.iterdir())


def test_a_shard_is_written_by_and_by_and_counted_and_digested_meanwhile(tmp_path):
    written = np.arange(1000, dtype=np.uint32)
    with shards.writing(tmp_path / "deep" / "a.bin", 4096) as writer:
        for part in np.split(written, [1, 1, 500]):
            writer.add(part)
        assert not (tmp_path / "deep" / "a.bin").exists()
    raw = (tmp_path / "deep" / "a.bin").read_bytes()
    assert raw == written.astype("<u2").tobytes()
    assert (writer.tokens, writer.sha256) == (1000, hashlib.sha256(raw).hexdigest())


def test_a_part_of_a_file_can_be_a_shard(tmp_path):
    with shards.writing(tmp_path / "a.bin", 70_000) as writer:
        writer.add(np.arange(1000, dtype=np.uint32))
    assert shards.read(tmp_path / "a.bin", 70_000, start=3, tokens=4).tolist() == [3, 4, 5, 6]
    raw = (tmp_path / "a.bin").read_bytes()
    assert shards.sha256(tmp_path / "a.bin", start=12, length=16) == hashlib.sha256(raw[12:28]).hexdigest()
    assert shards.sha256(tmp_path / "a.bin", start=3996, length=99) == hashlib.sha256(raw[3996:]).hexdigest()


def test_the_digest_of_a_part_is_read_piece_by_piece(tmp_path, monkeypatch):
    raw = bytes(range(256)) * 10
    (tmp_path / "a.bin").write_bytes(raw)
    monkeypatch.setattr(shards, "_READ", 100)
    assert shards.sha256(tmp_path / "a.bin", start=7, length=1111) == hashlib.sha256(raw[7:1118]).hexdigest()
