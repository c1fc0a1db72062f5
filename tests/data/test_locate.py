"""Finding what a recipe needs."""

import json
import shutil

import pytest

from repro.data import corpora
from repro.data import locate as module
from repro.data.locate import locate, ready
from repro.data.manifest import MANIFEST
from repro.errors import DataError
from repro.recipe.schema import Data
from tests.data.trees import library


def data(corpus, tokenizer="bpe"):
    rest = {"mixture": None, "repetition": None, "document_mask": False, "workers": 0}
    return Data(corpus=corpus, tokenizer=tokenizer, context=64, **rest)


def set_of(shared_set, folder):
    """The same set below another name."""
    return shutil.copytree(shared_set.folder, folder)


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
    assert said.endswith(
        ": run `repro prepare fineweb-edu-sample vocab_size=8192`, or train offline with data.corpus=python-packages"
    )


def test_the_papers_tokenizer_is_overridden_too(tmp_path):
    said = refusal(data("redpajama-1t", "llama-2"), 32_000, root=tmp_path)
    assert "/redpajama-1t/llama-2-32000: run `repro prepare redpajama-1t tokenizer=FILE`, " in said
    assert said.endswith("train offline with data.corpus=python-packages data.tokenizer=bpe")


def test_an_embedded_set_has_its_own_tokenizer(tmp_path):
    said = refusal(data("python-stdlib", "llama-2"), 32_000, root=tmp_path)
    assert said == "data.tokenizer=llama-2: python-stdlib is tokenised by its own BPE, data.tokenizer=bpe"


def test_an_unknown_corpus_is_told_the_nearest(tmp_path):
    said = refusal(data("python-stlib"), 4096, root=tmp_path)
    assert said.startswith("no data set is called 'python-stlib'. Did you mean 'python-stdlib'? Known: c4, ")


def test_a_corpus_that_is_nowhere_near_is_told_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path))
    said = refusal(data("zzz"), 320)
    assert said.startswith(
        "no data set is called 'zzz'. `repro prepare path=FOLDER name=zzz vocab_size=320` prepares one of your own. "
        "Known: c4, "
    )


def test_a_set_of_ones_own_is_a_name_that_is_known(shared_set, tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path))
    set_of(shared_set, tmp_path / "letters" / "bpe-320")
    assert "Did you mean 'letters'? Known: c4, " in refusal(data("leters"), 320)
    assert refusal(data("letters"), 8192).startswith(f"letters is not prepared in {tmp_path}/letters/bpe-8192: run ")


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


def made_earlier(folder):
    """Gives a set a manifest as the first version of the kit wrote it, without pieces."""
    written = json.loads((folder / MANIFEST).read_text()) | {"schema_version": 1, "shards": []}
    del written["pieces"]
    (folder / MANIFEST).write_text(json.dumps(written))


def test_an_embedded_corpus_that_an_earlier_version_prepared_is_made_anew_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "sets"))
    monkeypatch.setattr(corpora, "_places", lambda by_package: ("a small library", [library(tmp_path / "library")]))
    first, stages = ready(data("python-stdlib"), 320), []
    made_earlier(first.folder)
    assert ready(data("python-stdlib"), 320, progress=lambda stage, *_: stages.append(stage)) == first
    assert any(stage.startswith("mend: ") and "made by an earlier version" in stage for stage in stages)


def test_another_set_that_an_earlier_version_prepared_is_told_and_left_as_it_is(shared_set, tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path))
    folder = set_of(shared_set, tmp_path / "letters" / "bpe-320")
    made_earlier(folder)
    before = (folder / MANIFEST).read_bytes()
    with pytest.raises(DataError, match=r"manifest\.json cannot be used: it was made by an earlier version of the kit"):
        ready(data("letters"), 320)
    assert (folder / MANIFEST).read_bytes() == before


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


def test_a_small_set_is_verified_before_a_run_and_a_large_one_by_its_sizes(small_set, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(small_set.folder.parents[1]))
    shard = small_set.folder / "train" / "00000.bin"
    shard.write_bytes(shard.read_bytes()[::-1])
    monkeypatch.setattr(module, "VERIFIED", small_set.n_bytes)
    with pytest.raises(DataError, match="missing or altered"):
        ready(data("python-stdlib"), 320)
    monkeypatch.setattr(module, "VERIFIED", small_set.n_bytes - 1)
    assert ready(data("python-stdlib"), 320) == small_set
    shard.write_bytes(shard.read_bytes()[:-2])
    with pytest.raises(DataError, match=r"train/00000\.bin holds \d+ bytes, expected"):
        ready(data("python-stdlib"), 320)


def test_the_papers_tokenizer_has_its_own_size_and_the_model_may_have_more(shared_set, tmp_path):
    folder = set_of(shared_set, tmp_path / "olmoe-mix-0924" / "olmo-50280")
    assert locate(data("olmoe-mix-0924", "olmo"), 50_304, root=tmp_path).folder == folder


def test_a_corpus_of_ones_own_is_found_by_its_name(shared_set, tmp_path):
    folder = set_of(shared_set, tmp_path / "letters" / "bpe-320")
    assert locate(data("letters"), 320, root=tmp_path).folder == folder


def test_a_tokenizer_of_ones_own_is_found_whatever_its_size(shared_set, tmp_path):
    folder = set_of(shared_set, tmp_path / "letters" / "own-320")
    assert locate(data("letters", "own"), 384, root=tmp_path).folder == folder


def test_of_two_tokenizers_of_ones_own_neither_is_taken(shared_set, tmp_path):
    for name in ("own-320", "own-400"):
        set_of(shared_set, tmp_path / "letters" / name)
    said = refusal(data("letters", "own"), 400, root=tmp_path)
    assert said == (
        f"letters was prepared with 2 tokenizers, own-320, own-400 in {tmp_path}/letters: expected one; "
        "remove the others, or prepare with another name=NAME"
    )


def test_an_unfinished_set_of_ones_own_is_not_taken(shared_set, tmp_path):
    folder = set_of(shared_set, tmp_path / "letters" / "own-320")
    set_of(shared_set, tmp_path / "letters" / "own-400")
    (tmp_path / "letters" / "own-400" / MANIFEST).unlink()
    assert locate(data("letters", "own"), 320, root=tmp_path).folder == folder
