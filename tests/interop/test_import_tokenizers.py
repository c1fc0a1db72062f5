"""The tokenizer of imported weights: none but their own, and with the token that it puts before a text."""

import json

import pytest
import torch

from repro import cli
from repro.data import tokenizer
from repro.evaluation import documents, losses
from repro.evaluation.generating.generate import Asked, ids
from repro.evaluation.subject import Subject
from repro.evaluation.tasks.language_model import Harness
from repro.training.trained import Trained
from tests.evaluation import made
from tests.interop.checkpoints import ours, saved

CPU = torch.device("cpu")


@pytest.fixture
def theirs(prepared, tmp_path):
    """A stock Llama as transformers lays it out, with a tokenizer that puts token 5 before a text."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    saved(folder / "model.safetensors", ours("dense-smoke-swiglu").state_dict())
    whole = json.loads((prepared.folder / "tokenizer.json").read_text())
    own = {"content": "<s>", "id": 5, "special": True, "single_word": False, "lstrip": False, "rstrip": False}
    vocabulary = {"<s>" if id_ == 5 else entry: id_ for entry, id_ in whole["model"]["vocab"].items()}
    merges = [merge for merge in whole["model"]["merges"] if {*merge, "".join(merge)} <= vocabulary.keys()]
    whole["model"] |= {"vocab": vocabulary, "merges": merges}
    whole["added_tokens"].append(own | {"normalized": False})
    a, b, before = ({"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}, {"id": "<s>"})
    first = {"SpecialToken": before | {"type_id": 0}}
    ids = {"<s>": {"id": "<s>", "ids": [5], "tokens": ["<s>"]}}
    whole["post_processor"] = {"type": "TemplateProcessing", "single": [first, a], "pair": [first, a, b]}
    whole["post_processor"]["special_tokens"] = ids
    (folder / "tokenizer.json").write_text(json.dumps(whole))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "<|endoftext|>"}))
    return folder


def test_without_its_own_no_other_is_taken(prepared, tmp_path, run, capsys, monkeypatch):
    """Though the recipe's data are here, with a tokenizer that fits the model's size."""
    monkeypatch.setenv("REPRO_DATA", str(prepared.folder.parents[1]))
    folder = run(saved(tmp_path / "w.safetensors", ours("dense-smoke-swiglu").state_dict()), "dense-smoke-swiglu")
    of = {"generate": ["x"], "eval": ["--sets", "python-stdlib"], "export": ["--to", "hf"]}
    for verb, words in of.items():
        assert cli.status([verb, str(folder), *words]) == 2
        complaint = capsys.readouterr()[1]
        assert complaint.endswith("was imported without a tokenizer; import it again with tokenizer=FILE\n"), verb
        assert complaint.count("\n") == 1
    assert cli.status(["export", str(folder), "--to", "safetensors"]) == 0


def test_what_it_puts_before_a_text_is_kept_and_told(theirs, run, imported):
    folder = run(theirs, "dense-smoke-swiglu", source="hf")
    assert json.loads((folder / "vocabulary.json").read_text()) == {"eos_id": 0, "bos_id": 5}
    told = imported(theirs, "dense-smoke-swiglu", source="hf")[1]
    assert "its tokenizer puts <s> (id 5) before a text" in told


def test_a_tokenizer_of_ours_begins_with_what_ends_a_text(prepared, tmp_path, run):
    folder = tmp_path / "theirs"
    folder.mkdir()
    saved(folder / "model.safetensors", ours("dense-smoke-swiglu").state_dict())
    (folder / "tokenizer.json").write_bytes((prepared.folder / "tokenizer.json").read_bytes())
    made = run(folder, "dense-smoke-swiglu")
    assert json.loads((made / "vocabulary.json").read_text()) == {"eos_id": 0}
    subject = Subject.of(Trained.at(made), CPU)
    assert (subject.bos_id, subject.begun([7])) == (0, [7])


def test_texts_are_read_and_written_after_it(theirs, run, monkeypatch):
    subject = Subject.of(Trained.at(run(theirs, "dense-smoke-swiglu", source="hf")), CPU)
    read = []
    subject.network.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0].tolist()))
    next(ids(subject, [], Asked(1, None, None)))
    next(ids(subject, subject.begun([40, 41]), Asked(1, None, None)))
    assert read == [[[5]], [[5, 40, 41]]]
    model = Harness(subject)
    assert (model.prefix_token_id, model.eot_token_id) == (5, 0)


def test_the_first_token_of_a_set_is_predicted_from_it(theirs, tmp_path, run):
    subject = Subject.of(Trained.at(run(theirs, "dense-smoke-swiglu", source="hf")), CPU)
    prepared = made.a_set(tmp_path / "set/bpe-300", {"": [[made.text(0)]]})
    of = documents.Documents(prepared, name="set", context=subject.context)
    inputs, targets, _ = losses._batch(of, of.wanted[:2], subject.bos_id)
    assert inputs[0, 0] == 5
    assert inputs[1, 0] == targets[0, -1]


def test_an_export_has_it_again_and_comes_back_with_it(theirs, tmp_path, run, capsys):
    folder = run(theirs, "dense-smoke-swiglu", source="hf")
    out = tmp_path / "exported"
    assert cli.status(["export", str(folder), "--to", "hf", "--out", str(out)]) == 0
    for file in ("config.json", "generation_config.json"):
        said = json.loads((out / file).read_text())
        assert (said["bos_token_id"], said["eos_token_id"]) == (5, 0)
    assert json.loads((out / "tokenizer_config.json").read_text())["bos_token"] == "<s>"
    assert tokenizer.read(out / "tokenizer.json").encode("the").ids[0] == 5
    assert 'torch.tensor([[*tokenizer("The order' in (out / "README.md").read_text()
    again = Trained.at(run(out, "dense-smoke-swiglu", source="hf"))
    assert (again.vocabulary.bos_id, again.vocabulary.eos_id) == (5, 0)


def test_an_export_has_it_again_as_transformers_reads_it(theirs, tmp_path, run):
    transformers = pytest.importorskip("transformers", "5")
    out = tmp_path / "exported"
    folder = run(theirs, "dense-smoke-swiglu", source="hf")
    assert cli.status(["export", str(folder), "--to", "hf", "--out", str(out)]) == 0
    by = transformers.AutoTokenizer.from_pretrained(out)
    assert by("the order").input_ids == tokenizer.read(theirs / "tokenizer.json").encode("the order").ids
    assert by("the order").input_ids[0] == by.bos_token_id == 5
