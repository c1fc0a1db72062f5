"""Finding what a recipe needs."""

import pytest

from repro.data import corpora
from repro.data.locate import locate, ready
from repro.errors import DataError
from repro.recipe.schema import Data
from tests.data.trees import library


def data(corpus, tokenizer="bpe"):
    return Data(corpus=corpus, tokenizer=tokenizer, context=64, workers=0)


def refusal(*arguments, **options):
    with pytest.raises(DataError) as caught:
        locate(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_prepared_set_is_opened(shared_set):
    assert locate(data("python-stdlib"), 320, root=shared_set.folder.parents[1]) == shared_set


def test_an_embedded_set_says_the_command_that_prepares_it(tmp_path):
    folder = tmp_path / "python-stdlib" / "bpe-4096"
    said = refusal(data("python-stdlib"), 4096, root=tmp_path)
    assert said == f"python-stdlib is not prepared in {folder}: run `repro prepare python-stdlib vocab_size=4096`"


def test_a_set_to_be_downloaded_says_the_command_and_the_offline_override(tmp_path):
    said = refusal(data("fineweb-edu-sample"), 8192, root=tmp_path)
    assert said.startswith(f"fineweb-edu-sample is not prepared in {tmp_path}/fineweb-edu-sample/bpe-8192: ")
    assert "`repro prepare fineweb-edu-sample vocab_size=8192` will make it in a later version" in said
    assert said.endswith("train offline with data.corpus=python-packages")


def test_the_papers_tokenizer_is_overridden_too(tmp_path):
    said = refusal(data("redpajama-1t", "llama-2"), 32_000, root=tmp_path)
    assert "/redpajama-1t/llama-2-32000: " in said
    assert said.endswith("train offline with data.corpus=python-packages data.tokenizer=bpe")


def test_an_embedded_set_has_its_own_tokenizer(tmp_path):
    said = refusal(data("python-stdlib", "llama-2"), 32_000, root=tmp_path)
    assert said == "data.tokenizer=llama-2: python-stdlib is tokenised by its own BPE, data.tokenizer=bpe"


def test_an_unknown_corpus_is_told_the_nearest(tmp_path):
    assert "Did you mean 'python-stdlib'?" in refusal(data("python-stlib"), 4096, root=tmp_path)


def test_a_set_with_a_larger_vocabulary_than_its_folder_says_is_refused(small_set):
    small_set.folder.rename(small_set.folder.with_name("bpe-300"))
    said = refusal(data("python-stdlib"), 300, root=small_set.folder.parents[1])
    assert said.startswith("model.vocab_size=300 is smaller than that of ")


def test_a_damaged_set_says_how_to_mend_it(small_set):
    (small_set.folder / "train" / "00000.bin").write_bytes(b"")
    said = refusal(data("python-stdlib"), 320, root=small_set.folder.parents[1])
    assert said.endswith("mend it with `repro prepare python-stdlib vocab_size=320`")


def test_an_embedded_corpus_is_prepared_when_it_is_first_needed(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "sets"))
    monkeypatch.setattr(corpora, "_places", lambda by_package: ("a small library", [library(tmp_path / "library")]))
    ready_set = ready(data("python-stdlib"), 320)
    assert ready_set.folder == tmp_path / "sets" / "python-stdlib" / "bpe-320"
    assert ready(data("python-stdlib"), 320) == ready_set


def test_a_run_is_told_of_an_altered_shard_and_the_shard_is_left_as_it_is(small_set, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(small_set.folder.parents[1]))
    shard = small_set.folder / "train" / "00000.bin"
    altered = bytes([shard.read_bytes()[0] ^ 1]) + shard.read_bytes()[1:]
    shard.write_bytes(altered)
    with pytest.raises(DataError, match=r"missing or altered: .*mend it with `repro prepare python-stdlib"):
        ready(data("python-stdlib"), 320)
    assert shard.read_bytes() == altered


def test_a_set_to_be_downloaded_is_not_prepared_on_the_way(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"train offline with data\.corpus=python-packages"):
        ready(data("fineweb-edu-sample"), 8192)
    assert list(tmp_path.iterdir()) == []
