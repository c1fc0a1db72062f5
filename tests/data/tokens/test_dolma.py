"""What is refused of files called .npy."""

import re

import numpy as np
import pytest

from repro.data.tokens import token_file
from tests.data.token_files import EOS_ID, array, check, documents, dolma, joined, raw, refusal


@pytest.fixture
def part(tmp_path):
    return tmp_path / "part.npy"


def test_an_id_beyond_the_vocabulary_is_named_with_its_position(part, monkeypatch):
    ids = joined(documents(1, 99))
    ids[777], ids[800] = 1000, 60_000
    monkeypatch.setattr(token_file, "_CHUNK", 512)
    said = refusal(check, raw(part, ids))
    assert said == f"{part}: token id 1000 at position 777 is not of the vocabulary: expected ids from 0 to 999"


@pytest.mark.parametrize(
    ("dtype", "vocab_size"), [("int16", 1000), ("int16", 65_536), ("int32", 1000), ("int64", 10**6)]
)
def test_an_id_below_zero_is_named(part, dtype, vocab_size):
    np.save(part, np.array([1, 2, -5, EOS_ID], dtype))
    assert "token id -5 at position 2 is not of the vocabulary" in refusal(check, part, vocab_size=vocab_size)


def test_an_id_of_64_bits_is_not_cut_to_16(part):
    np.save(part, np.array([1, 2**32 + 5, EOS_ID], "int64"))
    assert "token id 4294967301 at position 1 " in refusal(check, part)


def test_tokens_without_any_end_of_text_are_refused(part):
    said = refusal(check, raw(part, range(100, 200)))
    assert said == (
        f"{part}: none of its 100 tokens is the end of text (7): expected one after each document, in uint16 and by "
        "this tokenizer; the last is 199: if documents end with that, give eos_id=199"
    )


@pytest.mark.parametrize(("vocab_size", "itemsize", "dtype"), [(1000, 2, "uint16"), (65_537, 4, "uint32")])
def test_a_file_that_ends_within_a_token_is_refused(part, vocab_size, itemsize, dtype):
    part.write_bytes(bytes(4 * 99 + 1))
    assert refusal(check, part, vocab_size=vocab_size) == (
        f"{part} holds 397 bytes: expected a multiple of {itemsize}, since a vocabulary of {vocab_size} is stored as "
        f"{dtype}"
    )


def test_an_empty_file_is_refused(part):
    part.touch()
    assert refusal(check, part) == f"{part} holds no tokens: remove it, or write it again"
    np.save(part, np.empty(0, "uint16"))
    assert refusal(check, part).startswith(f"{part} ")


@pytest.mark.parametrize(
    ("values", "what"), [(np.ones(3), r"float64 and shape \(3,\)"), (np.ones((2, 3), int), r"int64 and shape \(2, 3\)")]
)
def test_an_array_that_cannot_be_ids_is_refused(part, values, what):
    np.save(part, values)
    assert re.fullmatch(
        rf"\S+part\.npy is a numpy array of {what}: expected token ids, which are integers in one dimension",
        refusal(check, part),
    )


@pytest.mark.parametrize("keep", [8, 60, 200])
def test_an_array_that_was_cut_is_refused(part, keep):
    array(part, documents(1, 30))
    part.write_bytes(part.read_bytes()[:keep])
    assert refusal(check, part).startswith(f"{part} cannot be read as a numpy array: ")


def test_a_file_that_shrinks_while_it_is_read_is_told(part, monkeypatch):
    monkeypatch.setattr(token_file, "_CHUNK", 512)
    dolma(part, documents(1, 99))
    said = refusal(check, part, told=lambda n: part.write_bytes(part.read_bytes()[:2000]))
    assert said == f"{part} became shorter while it was read: leave it as it is and start again"


def test_integers_wider_than_the_vocabulary_needs_are_refused(part):
    """With an end of text of id 0 they would pass for as many documents of one token."""
    of = [[id for id in document if id] for document in documents(1, 99)]
    said = refusal(check, dolma(part, of, "uint32", eos_id=0), eos_id=0)
    assert said.startswith(
        f"{part}: every other number of 16 bits is 0, as if it were uint32: expected uint16, as for "
    )


def test_integers_narrower_than_the_vocabulary_needs_are_refused(part):
    said = refusal(check, raw(part, [EOS_ID, 0, 8, 1]), vocab_size=65_537)
    assert said == f"{part}: token id 65544 at position 1 is not of the vocabulary: expected ids from 0 to 65536"
