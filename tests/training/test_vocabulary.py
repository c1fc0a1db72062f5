"""What a run keeps of its tokenizer comes back, and what is damaged is told in one line."""

import pytest

from repro.errors import RunError
from repro.recipe import load
from repro.training.vocabulary import Vocabulary

RECIPE = load("dense-smoke-polynorm")


@pytest.mark.parametrize("bos_id", [None, 1])
def test_what_was_kept_comes_back(prepared, tmp_path, bos_id):
    Vocabulary(prepared.folder / "tokenizer.json", 7, bos_id).keep(tmp_path)
    assert Vocabulary.of(tmp_path, RECIPE) == Vocabulary(tmp_path / "tokenizer.json", 7, bos_id)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[7]", "7", '{"eos_id": "</s>"}', '{"eos_id": true}', '{"eos_id": 7, "bos_id": "<s>"}', b"\xff"],
    ids=repr,
)
def test_ids_that_are_none_are_told_in_one_line(prepared, tmp_path, text):
    Vocabulary.of_data(prepared).keep(tmp_path)
    path = tmp_path / "vocabulary.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RunError) as refused:
        Vocabulary.of(tmp_path, RECIPE)
    assert str(refused.value) == f'{path} is damaged: expected {{"eos_id": N}}, the id that ends a document'
