"""Byte-level BPE."""

import random

import numpy as np
import pytest

from repro.data import tokenizer
from repro.data.tokenizer import EOS, EOS_ID
from repro.errors import DataError
from tests.data.trees import source


@pytest.fixture(scope="module")
def bpe(tmp_path_factory):
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    tokenizer.train(map(source, range(20)), 320).save(str(path))
    return tokenizer.read(path)


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
    (tokens,) = tokenizer.encode(bpe, texts)
    assert tokens.tolist() == [id for text in texts for id in [*bpe.encode(text).ids, EOS_ID]]


def test_a_text_that_spells_the_end_of_text_holds_none(bpe):
    text = f"print({EOS!r})"
    (tokens,) = tokenizer.encode(bpe, [text])
    assert np.flatnonzero(tokens == EOS_ID).tolist() == [len(tokens) - 1]
    assert bpe.decode(tokens[:-1].tolist()) == text


def test_batches_change_nothing(bpe, monkeypatch):
    texts = [source(random.Random(n).randrange(50)) for n in range(30)]
    whole = np.concatenate(list(tokenizer.encode(bpe, texts)))
    monkeypatch.setattr(tokenizer, "_BATCH", 3000)
    batches = list(tokenizer.encode(bpe, texts))
    assert len(batches) > 5
    assert np.array_equal(np.concatenate(batches), whole)


def test_a_file_that_is_no_tokenizer_is_named(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match=r"tokenizer\.json is not a tokenizer: "):
        tokenizer.read(tmp_path / "tokenizer.json")
