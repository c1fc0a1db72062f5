"""Byte-level BPE."""

import random

import numpy as np
import pytest
from tokenizers import Tokenizer

from repro.data import tokenizer
from repro.data.preparing.tokenise import document
from repro.data.tokenizer import EOS, EOS_ID
from repro.errors import DataError
from tests.data.trees import source


@pytest.fixture(scope="module")
def bpe(tmp_path_factory):
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    tokenizer.train(map(source, range(20)), 320).save(str(path))
    return tokenizer.read(path)


def documents(texts):
    return [document(str(number), text, 20, None) for number, text in enumerate(texts)]


def encoded(bpe, texts, eos_id=EOS_ID):
    """The tokens of texts that make one batch."""
    ((_, tokens),) = tokenizer.encode(bpe, documents(texts), eos_id)
    return tokens


def test_training_gives_the_same_bytes_twice():
    first, second = (tokenizer.train(map(source, range(20)), 320).to_str() for _ in range(2))
    assert first == second


def test_there_are_as_many_entries_as_asked_for(bpe):
    assert bpe.get_vocab_size() == 320
    assert bpe.token_to_id(EOS) == EOS_ID == 0


@pytest.mark.parametrize("text", ["x = 1\n", "", "\t  två\r\n", "日本語 🜂 \x00\x7f", "a" * 1000, source(99)], ids=repr)
def test_decoding_gives_the_text_back(bpe, text):
    assert bpe.decode(bpe.encode(text).ids) == text


def test_each_text_ends_with_the_end_of_text(bpe):
    texts = [source(1), "", source(2)]
    tokens = encoded(bpe, texts)
    assert tokens.tolist() == [id for text in texts for id in [*bpe.encode(text).ids, EOS_ID]]


def test_a_text_that_spells_the_end_of_text_holds_none(bpe):
    text = f"print({EOS!r})"
    tokens = encoded(bpe, [text])
    assert np.flatnonzero(tokens == EOS_ID).tolist() == [len(tokens) - 1]
    assert bpe.decode(tokens[:-1].tolist()) == text


def test_batches_change_nothing(bpe, monkeypatch):
    texts = [source(random.Random(n).randrange(50)) for n in range(30)]
    whole = encoded(bpe, texts)
    monkeypatch.setattr(tokenizer, "_BATCH", 3000)
    monkeypatch.setenv("RAYON_NUM_THREADS", "1")
    batches = list(tokenizer.encode(bpe, documents(texts), EOS_ID))
    assert len(batches) > 5
    assert [document.text for batch, _ in batches for document in batch] == texts
    assert all((ids == EOS_ID).sum() == len(batch) for batch, ids in batches)
    assert np.array_equal(np.concatenate([ids for _, ids in batches]), whole)


def test_a_batch_has_a_megabyte_for_each_thread(monkeypatch):
    for threads in (1, 2):
        monkeypatch.setenv("RAYON_NUM_THREADS", str(threads))
        sizes = [
            sum(document.n_bytes for document in batch) for batch in tokenizer.batches(documents(["x" * 2**18] * 20))
        ]
        assert sizes[0] == threads * 2**20
        assert sum(sizes) == 20 * 2**18


def test_another_end_of_text_is_taken(bpe):
    assert encoded(bpe, [source(1)], eos_id=319).tolist() == [*bpe.encode(source(1)).ids, 319]


def test_no_documents_are_no_tokens(bpe):
    assert list(tokenizer.encode(bpe, [], EOS_ID)) == []


def test_a_file_that_is_no_tokenizer_is_named(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match=r"tokenizer\.json is not a tokenizer: "):
        tokenizer.read(tmp_path / "tokenizer.json")


def test_a_tokenizer_that_would_cut_or_fill_texts_does_neither(bpe, tmp_path):
    """Which files of the hub often say, for models that read one short text at a time."""
    cutting = Tokenizer.from_str(bpe.to_str())
    cutting.enable_truncation(max_length=5)
    cutting.enable_padding(length=50, pad_id=7)
    cutting.save(str(tmp_path / "tokenizer.json"))
    texts = ["x", source(1)]
    assert encoded(tokenizer.read(tmp_path / "tokenizer.json"), texts).tolist() == encoded(bpe, texts).tolist()
