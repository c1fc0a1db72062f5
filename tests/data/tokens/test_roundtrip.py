"""Tokens that are, and are not, a tokenizer's."""

import re
from itertools import permutations

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from repro.data import tokenizer as our_tokenizer
from repro.data.tokens.imports import token_files
from repro.data.tokens.roundtrip import check_tokenizer
from tests.data.token_files import dolma, megatron, raw, refusal
from tests.data.trees import source

SPECIAL = ["<unk>", "<s>", "</s>"]
TEXTS = [source(seed, lines=4 + seed % 40) + "na\u0131\u0308ve cafe\u0301 日本語" * (seed % 3) for seed in range(60)]


def byte_level(texts, vocab_size, normalizer=None):
    trained = our_tokenizer.train(texts, vocab_size)
    if normalizer:
        trained.normalizer = normalizer
    trained.encode_special_tokens = True
    return trained


def llama():
    """In the form of Llama-2's: a space before each text, which decoding drops, and bytes for rare characters."""
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    made.pre_tokenizer, special = pre_tokenizers.Metaspace(), SPECIAL + [f"<0x{byte:02X}>" for byte in range(256)]
    made.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=600, special_tokens=special, show_progress=False))
    made.pre_tokenizer = None
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    made.decoder = decoders.Sequence(parts)
    return made


MAKERS = {
    "bpe": lambda: byte_level(TEXTS, 400),
    "bpe of half the texts": lambda: byte_level(TEXTS[::2], 400),
    "smaller bpe": lambda: byte_level(TEXTS, 330),
    "bpe that composes accents": lambda: byte_level([text.upper() for text in TEXTS], 400, normalizers.NFC()),
    "llama": llama,
}


@pytest.fixture(scope="module")
def made():
    """Each tokenizer with its end of text."""
    return {name: (make(), 2 if name == "llama" else our_tokenizer.EOS_ID) for name, make in MAKERS.items()}


def ids_of(tokenizer, texts):
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


@pytest.fixture
def written(made, tmp_path):
    """Token files of the texts by one of the tokenizers."""

    def written(name, write=dolma, **options):
        tokenizer, eos_id = made[name]
        of = ids_of(tokenizer, TEXTS)
        for number in range(3):
            write(tmp_path / f"part-{number}.npy", of[20 * number : 20 * number + 20], eos_id=eos_id, **options)
        return token_files(tmp_path)

    return written


@pytest.mark.parametrize("write", [dolma, megatron])
@pytest.mark.parametrize("name", MAKERS)
def test_tokens_come_back_under_their_own_tokenizer(made, written, name, write):
    check_tokenizer(written(name, write), *made[name])


@pytest.mark.parametrize(("writer", "reader"), [*permutations(MAKERS, 2)])
def test_tokens_do_not_come_back_under_another(made, written, writer, reader):
    said = refusal(check_tokenizer, written(writer), made[reader][0], made[writer][1])
    assert re.match(
        r"of (20|1\d) documents only \d come back when their tokens are decoded and encoded again, so these tokens are "
        r"another tokenizer's: in the document at position \d+ of \S+part-0\.npy the text .* is \[.*\], where this "
        r"tokenizer gives \[.*\]; expected the one that made them$",
        said,
    )


def test_text_that_is_no_tokens_at_all_is_refused(made, tmp_path):
    (tmp_path / "part.npy").write_bytes("".join(TEXTS).encode()[: 2 * 10_000])
    assert "another tokenizer's" in refusal(check_tokenizer, token_files(tmp_path), *made["bpe"])


@pytest.mark.parametrize(("dtype", "wrong"), [("int64", -5), ("int16", -1), ("int64", 2**40), ("uint64", 2**64 - 1)])
def test_an_id_of_no_tokenizer_at_all_is_named_with_its_position(made, tmp_path, dtype, wrong):
    tokenizer, eos_id = made["bpe"]
    ids = np.array([*ids_of(tokenizer, TEXTS[:1])[0], eos_id], dtype)
    ids[3] = wrong
    np.save(tmp_path / "part.npy", ids)
    assert refusal(check_tokenizer, token_files(tmp_path), tokenizer, eos_id) == (
        f"{tmp_path}/part.npy: token id {wrong} at position 3 is not of the vocabulary: expected ids from 0 to 399"
    )


def test_a_beginning_of_text_does_not_count(made, tmp_path):
    tokenizer, eos_id = made["llama"]
    dolma(tmp_path / "part.npy", [[1, *ids] for ids in ids_of(tokenizer, TEXTS)], eos_id=eos_id)
    check_tokenizer(token_files(tmp_path), tokenizer, eos_id)


def test_documents_longer_than_what_is_looked_at_come_back(made, tmp_path):
    """Cut within a word or a character, and without an end of text for a long way."""
    tokenizer, eos_id = made["bpe"]
    dolma(tmp_path / "part.npy", ids_of(tokenizer, ["".join(TEXTS), "日本語" * 20_000]), eos_id=eos_id)
    check_tokenizer(token_files(tmp_path), tokenizer, eos_id)


def test_a_few_documents_may_have_been_encoded_otherwise(made, tmp_path):
    """As a text that spells a special token, or paragraphs that were encoded apart."""
    tokenizer, eos_id = made["bpe"]
    of = ids_of(tokenizer, TEXTS)
    of[::3] = [[id for byte in text.encode() for id in tokenizer.encode(chr(byte)).ids] for text in TEXTS[::3]]
    dolma(tmp_path / "part.npy", of, eos_id=eos_id)
    check_tokenizer(token_files(tmp_path), tokenizer, eos_id)


def test_empty_documents_tell_nothing(made, tmp_path):
    raw(tmp_path / "part.npy", [made["bpe"][1]] * 50)
    check_tokenizer(token_files(tmp_path), *made["bpe"])
