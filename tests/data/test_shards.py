"""Token shards, byte-compatible with dolma and OLMo."""

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
    shards.write(tmp_path / "a.bin", [written], vocab_size)
    assert (tmp_path / "a.bin").stat().st_size == 2 * size
    assert shards.read(tmp_path / "a.bin", vocab_size).tolist() == written.tolist()


def test_a_token_beyond_the_vocabulary_is_refused_and_nothing_written(tmp_path):
    batches = [np.array([1, 2], dtype=np.uint32), np.array([3, 70_000], dtype=np.uint32)]
    with pytest.raises(DataError, match=r"a\.bin: token id 70000 is beyond the vocabulary: expected ids below 4096"):
        shards.write(tmp_path / "a.bin", batches, 4096)
    assert not list(tmp_path.iterdir())
