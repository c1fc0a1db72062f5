"""Duplicates by the hash of their text: exact where all can be compared, else an estimate from some texts."""

import hashlib
from collections import Counter

import numpy as np
import pytest

from repro.data.manifest import Duplicates
from repro.data.preparing import duplicates as module
from repro.data.preparing.duplicates import duplicates


def hashed(number):
    return int.from_bytes(hashlib.sha256(str(number).encode()).digest()[:8], "little")


@pytest.fixture
def files(tmp_path):
    """Writes lists of texts, each a number, as files of hashes."""

    def files(*lists):
        for name, numbers in enumerate(lists):
            np.array([hashed(number) for number in numbers], dtype="<u8").tofile(tmp_path / f"{name}.bin")
        return [tmp_path / f"{name}.bin" for name in range(len(lists))]

    return files


def test_a_text_that_comes_again_is_a_duplicate_each_time(files):
    assert duplicates(files([1, 2, 1], [3, 1, 2])) == Duplicates(documents=6, duplicates=3, one_in=1)


def test_no_text_comes_again(files):
    assert duplicates(files(range(100), range(100, 150))) == Duplicates(documents=150, duplicates=0, one_in=1)


@pytest.mark.parametrize("lists", [[], [[]], [[], [7]]])
def test_empty_files_and_none_at_all_are_no_matter(files, lists):
    documents = sum(map(len, lists))
    assert duplicates(files(*lists)) == Duplicates(documents=documents, duplicates=0, one_in=1)


@pytest.fixture
def small_memory(monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 256)
    monkeypatch.setattr(module, "_READ", 32)


def test_of_too_many_documents_every_copy_of_some_texts_is_looked_at(files, small_memory):
    rng = np.random.default_rng(0)
    texts = rng.integers(0, 1500, 2560).tolist()
    found = duplicates(files(texts[:1000], texts[1000:]))
    assert found.one_in == 10
    copies = Counter(text for text in texts if hashed(text) % 10 == 0)
    assert found.documents == sum(copies.values())
    assert found.duplicates == sum(copies.values()) - len(copies)
    # Of about 120 texts, a binomial share of a half: the whole set's within four standard deviations.
    share = 1 - len(set(texts)) / len(texts)
    assert found.duplicates / found.documents == pytest.approx(share, abs=4 * 0.5 / len(copies) ** 0.5)


def test_a_text_that_comes_without_end_takes_the_memory_of_one(files, small_memory):
    often = next(number for number in range(10_000) if hashed(number) % 40 == 0)
    found = duplicates(files([often] * 5000, [*range(5000), *[often] * 240]))
    assert found.one_in == 40
    assert found.documents - found.duplicates == sum(hashed(number) % 40 == 0 for number in range(5000))
    assert found.documents > 10 * module.AT_ONCE
