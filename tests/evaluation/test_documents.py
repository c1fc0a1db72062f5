"""A set as windows and as documents: every token once, however it is cut."""

from itertools import pairwise

import numpy as np
import pytest

from repro.errors import DataError
from repro.evaluation.documents import Documents
from tests.evaluation.made import CONTEXT, EOS, a_set, a_tokenizer, text

SUBSETS = {
    "books": [[text(1), text(2, 3), text(3)], [text(4, 100)]],
    "web": [[text(seed, 5) for seed in range(5, 12)]],
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return a_set(tmp_path_factory.mktemp("sets") / "two" / "bpe-300", SUBSETS)


def every_window(documents):
    return [documents.window(number) for number in documents.wanted.tolist()]


def test_every_token_of_every_shard_is_a_target_once_and_in_order(prepared):
    found = np.concatenate([window.tokens for window in every_window(Documents(prepared, name="two", context=CONTEXT))])
    stored = np.concatenate([prepared.map(shard) for shard in prepared.shards("validation")])
    np.testing.assert_array_equal(found, stored)


def test_windows_follow_each_other_and_only_a_shard_begins_without_a_token_before(prepared):
    windows = every_window(Documents(prepared, name="two", context=CONTEXT))
    lengths = [shard.tokens for shard in prepared.shards("validation")]
    firsts = [number for number, window in enumerate(windows) if window.before is None]
    assert firsts == np.cumsum([0, *(-(-n // CONTEXT) for n in lengths[:-1])]).tolist()
    for before, after in pairwise(windows):
        if after.before is not None:
            assert len(before.tokens) == CONTEXT
            assert after.before == before.tokens[-1]


def test_an_end_of_text_belongs_to_what_it_ends(prepared):
    windows = every_window(Documents(prepared, name="two", context=CONTEXT))
    tokens = np.concatenate([window.tokens for window in windows])
    numbers = np.concatenate([window.documents for window in windows])
    np.testing.assert_array_equal(np.diff(numbers), tokens[:-1] == EOS)
    assert numbers[-1] + 1 == sum(len(texts) for files in SUBSETS.values() for texts in files)


def test_what_nothing_ends_is_a_document_too(tmp_path):
    prepared = a_set(tmp_path / "open", {"": [[text(1), text(2)], [text(3)]]}, ended=False)
    documents = Documents(prepared, name="open", context=CONTEXT)
    assert [stream.documents for stream in documents.streams] == [2, 1]
    assert documents.bytes_of_text(a_tokenizer()) == {n: len(text(n + 1).encode()) for n in range(3)}


def test_a_set_without_subsets_is_one(tmp_path):
    documents = Documents(a_set(tmp_path / "plain", {"": [[text(1)]]}), name="plain", context=CONTEXT)
    assert documents.subsets == ("plain",)


def test_subsets_are_told_apart_by_document(prepared):
    documents = Documents(prepared, name="two", context=CONTEXT)
    assert documents.subsets == ("books", "web")
    assert documents.subset_of(np.arange(11)).tolist() == [0] * 4 + [1] * 7


def test_bytes_are_those_of_the_texts(prepared):
    documents = Documents(prepared, name="two", context=CONTEXT)
    texts = [each for files in SUBSETS.values() for file in files for each in file]
    expected = {number: len(each.encode()) for number, each in enumerate(texts)}
    assert documents.bytes_of_text(a_tokenizer()) == expected
    assert documents.published_bytes("web") == sum(list(expected.values())[4:])


def test_tokens_takes_whole_windows_spread_evenly_over_each_subset(prepared):
    all_, some = (Documents(prepared, name="two", context=CONTEXT, tokens=n) for n in (None, 3 * CONTEXT + 5))
    books = sum(-(-shard.tokens // CONTEXT) for shard in prepared.shards("validation")[:2])
    web = len(all_.wanted) - books
    assert some.wanted.tolist() == [*(i * books // 3 for i in range(3)), *(books + i * web // 3 for i in range(3))]
    assert some.size == 6 * CONTEXT
    assert some.published_bytes("web") is None


def test_more_tokens_than_there_are_take_all(prepared):
    all_, more = (Documents(prepared, name="two", context=CONTEXT, tokens=n) for n in (None, 10**9))
    np.testing.assert_array_equal(all_.wanted, more.wanted)
    assert all_.size == more.size == prepared.tokens("validation")


def test_bytes_of_some_windows_are_of_what_they_hold(tmp_path):
    plain = ["a b c d e f g h " * 12]
    prepared = a_set(tmp_path / "plain", {"": [plain]})
    documents = Documents(prepared, name="plain", context=CONTEXT, tokens=2 * CONTEXT)
    held = np.concatenate([window.tokens for window in every_window(documents)])
    expected = len(a_tokenizer().decode(held[held != EOS].tolist()).encode())
    assert documents.bytes_of_text(a_tokenizer()) == {0: expected}


def test_a_set_without_a_validation_split_is_refused(tmp_path):
    prepared = a_set(tmp_path / "none", {})
    with pytest.raises(DataError, match="has no validation split"):
        Documents(prepared, name="none", context=CONTEXT)
