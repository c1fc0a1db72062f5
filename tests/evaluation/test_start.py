"""`repro eval` as a person meets it: what it says, what it leaves, and what each mistake gets."""

import json
import os
import shutil
import signal

import numpy as np
import pytest

from repro.evaluation import losses, results, tables
from repro.evaluation.processes import Command
from repro.recipe import machine
from repro.recipe.runs import IMPORTED
from repro.training.launch import shell, torchrun
from tests.evaluation.conftest import evaluate
from tests.training.processes import start_all


def test_every_checkpoint_is_evaluated_on_the_recipe_s_sets(command, a_run, prepared):
    code, said, _ = evaluate(command)
    assert code == 0
    rows = results.read(a_run, "losses")
    assert [(row["step"], row["set"]) for row in rows] == [(20, "held-out"), (24, "held-out")]
    assert rows[0]["tokens"] == prepared.tokens("validation")
    assert rows[0]["bytes"] == prepared.manifest.totals["validation"].bytes_of_text
    for word in ("held-out", "nats per", "perplexity", "bits per", "95 %", f"{rows[1]['nats_per_token']:.4f}"):
        assert word in said
    assert "kept in run/evaluation" in said


def test_held_out_is_what_validation_saw(command, a_run, prepared):
    """Training's windows leave out the first token and what is left of a last window: a few of them."""
    evaluate(command, "step=24")
    ours = results.read(a_run, "losses")[0]["nats_per_token"]
    assert ours == pytest.approx(np.load(a_run / "validation.npy")[-1].mean(), rel=0.2)


def test_no_perplexity_stands_beside_the_paper_s(command, a_run):
    said = " ".join(evaluate(command)[1].split())
    assert tables.NOT_COMPARABLE in said
    assert not any(figure in said for figure in ("3.22", "3.17", "8.94"))


def test_what_is_evaluated_is_told_and_skipped(command, a_run, monkeypatch):
    evaluate(command)
    monkeypatch.setattr(losses, "token_losses", None)
    code, said, _ = evaluate(command)
    assert code == 0
    assert said.startswith("evaluated before: held-out at step 20, 24\n")
    assert "perplexity" in said


def test_a_look_at_some_of_the_tokens_does_not_take_the_place_of_all(command, a_run):
    assert "windows spread evenly over each part" in " ".join(evaluate(command, "tokens=64", "step=24")[1].split())
    (some,) = results.read(a_run, "losses")
    assert (some["tokens"], some["tokens_asked"]) == (64, 64)
    evaluate(command, "step=24")
    (whole,) = results.read(a_run, "losses")
    assert whole["tokens_asked"] is None
    assert "evaluated before" in evaluate(command, "tokens=64", "step=24")[1]
    assert results.read(a_run, "losses") == [whole]


def test_a_larger_look_takes_the_place_of_a_smaller_one_and_not_the_other_way_round(command, a_run):
    for tokens in (32, 128, 32):
        said = evaluate(command, "--sets", "held-out", f"tokens={tokens}", "step=24")[1]
    assert said.startswith("evaluated before: held-out at step 24\n")
    assert [row["tokens_asked"] for row in results.read(a_run, "losses")] == [128]


def test_a_set_of_parts_is_told_part_by_part_within_80_columns(command, a_run):
    code, said, complaint = evaluate(command, "--sets", "parts,held-out", "step=24")
    assert (code, complaint) == (0, "")
    rows = results.read(a_run, "losses")
    assert [(row["set"], row["subset"]) for row in rows] == [
        ("parts", "books"),
        ("parts", "a-name-of-20-letters"),
        ("held-out", "held-out"),
    ]
    assert max(map(len, said.splitlines())) <= 80
    assert "a-name-of-20-letters" in said
    assert "Of fewer than 30 documents an interval is too narrow: books" in " ".join(said.split())
    each = np.load(a_run / "evaluation" / "step-00000024" / "parts.npz")
    assert each["subsets"].tolist() == ["books", "a-name-of-20-letters"]
    assert np.bincount(each["subset"]).tolist() == [2, 40]
    assert each["nats"][:2].sum() / each["tokens"][:2].sum() == pytest.approx(rows[0]["nats_per_token"])


def test_ctrl_c_keeps_what_is_done_and_the_same_command_ends_with_the_same_bytes(command, a_run, monkeypatch):
    monkeypatch.setattr(losses, "AT_A_TIME", {"cpu": 64})
    evaluate(command, "step=24")
    path = a_run / "evaluation" / "step-00000024" / "held-out.npz"
    undisturbed = path.read_bytes()
    shutil.rmtree(a_run / "evaluation")
    token_losses, calls = losses.token_losses, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return token_losses(*args)

    monkeypatch.setattr(losses, "token_losses", interrupted)
    assert evaluate(command, "step=24")[::2] == (130, "repro: interrupted\n")
    assert (path.parent / ".held-out.part").is_file()
    assert not path.exists()
    assert evaluate(command, "step=24")[0] == 0
    assert not (path.parent / ".held-out.part").exists()
    assert path.read_bytes() == undisturbed


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--sets", "c4"), "c4 is not prepared with the tokenizer of this model: run `repro prepare c4 tokenizer=run/"),
        (("--sets", "ppl-validation-v3"), "it is published as token ids of the tokenizer 'olmo', which is not that of"),
        (("--sets", "python-packages"), "it is tokenised by a BPE of its own"),
        (("--sets", "part"), "no data set is called 'part'. Did you mean 'parts'?"),
        (("step=7",), "run has no complete checkpoint of step=7; there are those of 20, 24"),
        (("tokns=7",), "eval has no setting 'tokns'. Did you mean 'tokens'?"),
        (("tokens=7", "tokens=8"), "tokens is set twice"),
        (("tokens=few",), "tokens=few: expected a number"),
        (("limit",), "'limit' is not key=value"),
        (("limit=5", "--sets", "parts"), "limit= is for what --tasks names, and nothing is"),
        (("--tasks", "piq"), "Did you mean"),
        (("--sets", ""), "--sets '' names nothing: expected names with commas between them, such as held-out"),
        (("--tasks", " ,"), "--tasks ' ,' names nothing: expected names with commas between them, such as table-1"),
        (("--sets", "../data/parts"), "no data set is called '../data/parts'"),
        (("--sets", "held_out"), "no data set is called 'held_out'. Did you mean 'held-out'? Known: held-out, "),
    ],
    ids=" ".join,
)
def test_a_mistake_is_one_line_and_writes_nothing(command, a_run, arguments, complaint):
    code, _, said = evaluate(command, *arguments)
    assert (code, said.count("\n")) == (2, 1)
    assert complaint in said
    assert not (a_run / "evaluation").exists()


def test_a_run_without_a_checkpoint_is_told(command, a_run):
    shutil.rmtree(a_run / "checkpoints")
    assert evaluate(command)[::2] == (
        2,
        "repro: run has no complete checkpoint; `repro run` writes one as it trains\n",
    )


def test_a_run_without_its_tokenizer_is_told(command, a_run, monkeypatch, tmp_path):
    (a_run / "tokenizer.json").unlink()
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "nothing"))
    code, _, said = evaluate(command, "--sets", "parts")
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith("repro: run holds no tokenizer.json, and the data it was trained on are not here: ")


def test_a_run_on_other_data_than_are_here_is_told(command, a_run):
    path = a_run / "versions.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data": "another"}))
    code, _, said = evaluate(command)
    assert (code, said.count("\n")) == (2, 1)
    assert "was trained on data with fingerprint another" in said


def test_a_damaged_file_of_versions_is_told_in_a_line(command, a_run):
    (a_run / "versions.json").write_text("x")
    code, _, said = evaluate(command)
    assert (code, said.count("\n")) == (2, 1)
    assert "versions.json is damaged: expected " in said


def test_nothing_was_held_out_for_an_imported_run_which_is_evaluated_on_other_sets(command, a_run):
    (a_run / IMPORTED).write_text("from: official\n")
    code, _, complaint = evaluate(command)
    assert (code, complaint.count("\n")) == (2, 1)
    assert "run was imported, and nothing here was held out for it: name prepared sets by --sets" in complaint
    assert evaluate(command, "--sets", "parts", "step=24")[0] == 0


def test_a_tokenizer_that_does_not_give_a_text_back_is_told(command, a_run, tmp_path):
    """The manifest says that the texts were longer than what their tokens decode to."""
    path = next(tmp_path.glob("data/parts/*/manifest.json"))
    content = path.read_text()
    said = json.loads(content)["totals"]["validation"]["bytes_of_text"]
    manifest = json.loads(content)
    manifest["pieces"][0]["shards"][0]["bytes_of_text"] += 7
    manifest["totals"]["validation"]["bytes_of_text"] = said + 7
    path.write_text(json.dumps(manifest))
    told = " ".join(evaluate(command, "--sets", "parts", "step=24")[1].split())
    books = results.read(a_run, "losses")[0]["bytes"]
    assert f"books: {books + 7:,} bytes of text come back from their tokens as {books:,}" in told


def test_a_full_disk_is_told_in_a_line(command, a_run, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("repro.evaluation.parts.write_whole", full)
    code, _, said = evaluate(command)
    assert (code, said.count("\n")) == (2, 1)
    assert ".held-out.part: No space left on device; what was evaluated before is kept" in said


def test_two_processes_find_what_one_finds_and_the_first_alone_speaks(command, a_run, tmp_path):
    evaluate(command)
    alone = results.read(a_run, "losses")
    shutil.rmtree(a_run / "evaluation")
    words = ["eval", "run", "--on", "cpu-x2"]
    first, second = start_all([words] * 2, tmp_path, REPRO_DATA=str(tmp_path / "data"), OMP_NUM_THREADS="1")
    assert (first.code, second.code) == (0, 0), first.stderr + second.stderr
    assert "perplexity" in first.stdout
    assert second.stdout == ""
    for ours, theirs in zip(results.read(a_run, "losses"), alone, strict=True):
        assert ours["nats_per_token"] == pytest.approx(theirs["nats_per_token"], rel=1e-6)
        assert ours["nats_per_token_low"] == pytest.approx(theirs["nats_per_token_low"], rel=1e-6)


def test_several_devices_are_several_processes_of_the_same_command(a_run):
    line = shell(torchrun(Command(machine("cpu-x2"), ["eval", "run", "--on", "cpu-x2"]), meet=["--standalone"]))
    assert "--nproc-per-node 2" in line
    assert line.endswith("-m repro eval run --on cpu-x2")
