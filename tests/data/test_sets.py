"""Sets that a model can be evaluated on, and the way to those it cannot be yet."""

import json
import re
import shutil

import pytest

from repro.data import sets
from repro.errors import DataError
from repro.recipe import sources


def refusal(name, tokenizer, root):
    with pytest.raises(DataError) as caught:
        sets.find(name, tokenizer=tokenizer, root=root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def tokenizer(shared_set):
    return shared_set.folder / "tokenizer.json"


def test_a_set_is_found_by_the_tokenizer_that_made_it(shared_set, tokenizer):
    root = shared_set.folder.parents[1]
    assert sets.find("python-stdlib", tokenizer=tokenizer, root=root) == shared_set


def test_one_of_an_earlier_version_stands_in_nobody_s_way(shared_set, tokenizer, tmp_path):
    shutil.copytree(shared_set.folder, tmp_path / "python-stdlib" / "bpe-999")
    older = tmp_path / "python-stdlib" / "bpe-1" / "manifest.json"
    older.parent.mkdir()
    older.write_text(json.dumps({"schema_version": 1}))
    assert sets.find("python-stdlib", tokenizer=tokenizer, root=tmp_path).folder.name == "bpe-999"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("c4", "run `repro prepare c4 tokenizer=/.*tokenizer.json`"),
        ("python-stdlib", "a BPE of its own, and only models that were trained on it read that"),
        ("ppl-validation-v3", "published as token ids of the tokenizer 'olmo', which is not that of this model"),
        ("wikipdia", "no data set is called .wikipdia.. Did you mean .wikipedia."),
    ],
)
def test_what_is_not_prepared_with_it_is_told_with_the_way_out(tokenizer, tmp_path, name, told):
    assert re.search(told, refusal(name, tokenizer, tmp_path))


@pytest.mark.parametrize("name", ["../python-stdlib", "python-stdlib/../python-stdlib", "*", ""])
def test_a_path_is_no_name(shared_set, tokenizer, name):
    assert f"no data set is called {name!r}." in refusal(name, tokenizer, shared_set.folder.parents[1])


def test_held_out_is_among_the_names(tokenizer, tmp_path):
    assert "Did you mean 'held-out'? Known: held-out, " in refusal("held_out", tokenizer, tmp_path)


def test_the_paper_s_tokenizer_is_named_by_its_name(tokenizer, tmp_path, monkeypatch):
    digest = sources.load_tokenizer("olmo").sha256
    monkeypatch.setattr(sets, "sha256", lambda path: digest)
    assert refusal("c4", tokenizer, tmp_path).endswith("run `repro prepare c4 tokenizer=olmo`")
    assert refusal("ppl-validation-v3", tokenizer, tmp_path).endswith("run `repro prepare ppl-validation-v3`")
