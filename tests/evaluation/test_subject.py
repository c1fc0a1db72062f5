"""A checkpoint and its tokenizer have to fit each other."""

import json

import pytest
import torch

from repro.data import tokenizer
from repro.errors import RunError
from repro.evaluation.subject import Subject
from repro.training.trained import Trained
from tests.evaluation.made import text

CPU = torch.device("cpu")


def refusal(folder):
    with pytest.raises(RunError) as caught:
        Subject.of(Trained.at(folder), CPU)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_subject_is_a_checkpoint_with_its_tokenizer(a_run):
    subject = Subject.of(Trained.at(a_run), CPU)
    assert subject.context == 16
    assert subject.network(torch.tensor([subject.tokenizer.encode("the order").ids])).shape[-1] == 512


@pytest.mark.parametrize(("key", "id_"), [("eos_id", 512), ("bos_id", 700), ("eos_id", -1)])
def test_an_id_outside_the_vocabulary_is_refused(a_run, key, id_):
    path = a_run / "vocabulary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: id_}))
    says = f"tokenizer.json does not fit the model: {key} has id {id_}, expected ids below its vocab_size=512"
    assert refusal(a_run).endswith(says)


def test_a_tokenizer_with_more_ids_than_the_model_has_weights_is_refused(a_run):
    by = tokenizer.read(a_run / "tokenizer.json")
    by.add_tokens([text(number) for number in range(600)])
    by.save(str(a_run / "tokenizer.json"))
    largest = max(by.get_vocab().values())
    assert f"a token has id {largest:,}, expected ids below its vocab_size=512" in refusal(a_run)
