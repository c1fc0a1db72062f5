"""The model card says what is so, and nothing that is not known."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from repro.errors import RunError
from repro.evaluation import results, sets
from repro.evaluation.losses import Losses
from repro.interop.exporting import export
from repro.training.trained import Trained
from tests.interop import untrained

METRICS = "step,validation_loss\n8,5.5\n16,\n16,5.25\n24,5.125\n"
VERSIONS = {"repro": "0.1.0+abc", "torch": "2.15.0", "python": "3.11.7", "device": "a processor", "data": "f00d"}
LOSS = {"step": 24, "set": "wikis", "subset": "wikis", "documents": 62, "tokens": 2056, "tokens_asked": None}
LOSS |= {"nats_per_token": 3.25, "nats_per_token_low": 3.125, "nats_per_token_high": 3.5, "perplexity": 25.79}
LOSS |= {"bits_per_byte": None}


@pytest.fixture
def run(small, prepared, tmp_path):
    """A run's folder of which metrics and versions are known."""
    folder = untrained.write(small(), tmp_path / "run/seed-3", prepared, steps=(10, 24))
    (folder / "metrics.csv").write_text(METRICS)
    (folder / "versions.json").write_text(json.dumps(VERSIONS))
    return folder


def card(run, step=24):
    """The lines of the card of an export."""
    return export.as_huggingface(Trained.at(run, step), run.parent / "exported").texts["README.md"].splitlines()


def test_it_says_how_the_model_was_trained(run):
    said = card(run)
    assert "# dense-smoke-polynorm, step 24" in said
    assert "| seed | 3 |" in said
    assert "| steps | 24 of 24 |" in said
    assert "| tokens | 3,072, 128 a step |" in said
    assert "| context | 16 tokens |" in said
    assert "| data | python-stdlib (fingerprint `f00d`), tokenizer `bpe` |" in said
    assert "| trained with | polycom-repro 0.1.0+abc, torch 2.15.0, python 3.11.7, on a processor |" in said
    assert (
        "**What it is evidence of:** that the software works from end to end; it is no evidence about the paper."
        in said
    )


def test_it_counts_the_parameters_that_there_are(run):
    whole = sum(tensor.numel() for tensor in Trained.at(run).weights.outline.values())
    inner = whole - 2 * 512 * 16
    assert f"| parameters | {whole:,}, {inner:,} without embedding and head |" in card(run)


def test_a_validation_loss_has_its_unit_and_its_step(run):
    of = "nats per token of its own tokenizer{}: a mean over at most 512 tokens of the corpus's held-out split |"
    assert f"| validation loss | 5.1250 {of.format('')}" in card(run)
    assert f"| validation loss | 5.5000 {of.format(', at step 8')}" in card(run, step=10)


def test_what_is_not_known_is_not_said(small, prepared, tmp_path):
    run = untrained.write(small(), tmp_path / "run", prepared)
    said = "\n".join(card(run, step=1))
    assert not any(word in said for word in ("seed", "validation loss", "trained with", "## Evaluation", "None"))


def test_of_imported_weights_it_says_whose_they_are_and_nothing_of_a_training(run):
    (run / "imported.yaml").write_text("path: theirs.safetensors\nlayout: Hugging Face\n")
    said = "\n".join(card(run))
    theirs = "did not train it: its weights are those of `theirs.safetensors`, as laid out by Hugging Face, and fit"
    assert theirs in said.replace("\n", " ")
    assert not any(word in said for word in ("seed", "validation loss", "| steps", "evidence", "trained with"))
    assert export.provenance(Trained.at(run))["weights"] == "imported"


def test_evaluations_of_this_checkpoint_are_told(run):
    (run / "evaluation").mkdir()
    part = LOSS | {"subset": "wikitext", "tokens_asked": 2048}
    single = LOSS | {"documents": 1, "nats_per_token_low": None, "nats_per_token_high": None}
    losses = [part, LOSS, single | {"set": "c4", "subset": "c4"}, LOSS | {"step": 10, "subset": "other"}]
    (run / "evaluation/losses.json").write_text(json.dumps({"rows": losses}))
    task = {"step": 24, "split": "test", "items": 2376, "metric": "acc_norm", "value": 0.25, "error": 0.0089}
    tasks = [task | {"task": "arc_easy", "limit": None}, task | {"task": "piqa", "limit": 2376}]
    (run / "evaluation/tasks.json").write_text(json.dumps({"rows": tasks}))
    said = card(run)
    columns = "| set | documents | tokens | nats per token | 95 % interval over documents | perplexity per token |"
    assert f"{columns} bits per byte |" in said
    assert "| wikis, wikitext | 62 | 2,056 (not all) | 3.2500 | 3.1250 to 3.5000 | 25.7900 |  |" in said
    assert "| wikis | 62 | 2,056 | 3.2500 | 3.1250 to 3.5000 | 25.7900 |  |" in said
    assert "| c4 | 1 | 2,056 | 3.2500 |  | 25.7900 |  |" in said
    assert "| `arc_easy` | test | 2,376 | acc_norm | 0.2500 | 0.0089 |" in said
    assert "| `piqa` | test | 2,376 (not all) | acc_norm | 0.2500 | 0.0089 |" in said
    assert not any("other" in line for line in said)


def test_what_repro_eval_writes_can_be_told(run):
    """In its words, which this reads and does not share."""
    documents = SimpleNamespace(name="c4", subsets=["c4"], asked=128, context=16, subset_of=np.zeros_like)
    documents.prepared = SimpleNamespace(fingerprint="f00d")
    losses = Losses(np.arange(3), np.array([30.0, 60.0, 45.0]), np.full(3, 15))
    results.write_losses(run, 24, sets.rows(documents, losses, np.full(3, 60)))
    (told,) = [line for line in card(run) if line.startswith("| c4 |")]
    assert told.startswith("| c4 | 3 | 45 (not all) | 3.0000 | 2.")
    assert told.endswith(" | 20.0855 | 1.0820 |")  # exp(3), 3 / 4 / ln(2)


def test_an_evaluation_that_is_damaged_is_told_in_one_line(run):
    path = run / "evaluation/losses.json"
    path.parent.mkdir()
    path.write_text('{"rows": [')
    with pytest.raises(RunError) as refused:
        card(run)
    assert str(refused.value) == f"{path} is damaged, and the model's card tells what it holds: remove it, or mend it"


def test_prose_is_wrapped_however_long_the_names_in_it(run):
    (run / "imported.yaml").write_text(f"path: {'long-' * 10}name\nlayout: a layout of {'many ' * 30}words\n")
    assert max(len(line) for line in card(run) if not line.startswith("|")) <= 120


def test_its_code_runs_as_it_stands(run, tmp_path, monkeypatch, capsys):
    pytest.importorskip("transformers", "5")  # which dev has
    from tests.interop.trusting import modules_in

    trained = Trained.at(run)
    plan = export.as_huggingface(trained, tmp_path / "exported")
    export.write_folder(trained, plan)
    code = plan.texts["README.md"].partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(plan.path)
    with modules_in(tmp_path / "modules"):
        exec(code, {})
    assert capsys.readouterr().out.startswith("<|endoftext|>The order of a polynomial")
