"""An export for transformers as files: what it says, what it replaces, and what each mistake gets."""

import fcntl
import json
import os
import resource

import pytest

from repro import cli
from repro.interop.exporting import export as exporting
from repro.recipe import load
from tests.interop import untrained

STOCK = {"README.md", "config.json", "generation_config.json", "model.safetensors", "special_tokens_map.json"}
STOCK |= {"tokenizer.json", "tokenizer_config.json", "export.json"}
CODE = {"activations_polycom.py", "configuration_polycom.py", "modeling_polycom.py"}


@pytest.fixture
def run(small, prepared, tmp_path):
    """A run's folder, with its tokenizer."""
    return untrained.write(small(activation="swiglu"), tmp_path / "run/seed-3", prepared, steps=(10, 24))


@pytest.fixture
def export(capsys):
    """Runs ``repro export --to hf`` and gives its exit code, what it printed and what it complained of."""

    def export(*arguments):
        code = cli.status(["export", *map(str, arguments), "--to", "hf"])
        return code, *capsys.readouterr()

    return export


@pytest.fixture
def refused(export):
    """Exports what cannot be and gives the complaint, one line."""

    def refused(*arguments):
        code, _, complaint = export(*arguments)
        assert (code, complaint.count("\n")) == (2, 1)
        return complaint.removeprefix("repro: ").removesuffix("\n")

    return refused


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_by_default_it_lies_in_the_run_s_folder(run, export):
    code, said, _ = export(run)
    assert code == 0
    size = sum((run / "hf-step-00000024" / name).stat().st_size for name in STOCK) / 1e6
    told, done = said.splitlines()
    assert told.startswith("dense-smoke-swiglu after step 24, trained weights: 21 tensors, ")
    assert float(told.split()[-2]) == pytest.approx(size, abs=0.01)
    assert done == f"written: {run}/hf-step-00000024"
    assert names(run / "hf-step-00000024") == STOCK
    assert export(run)[1].splitlines()[1] == f"replaced: {run}/hf-step-00000024"
    assert names(run) == {"recipe.yaml", "tokenizer.json", "vocabulary.json", "checkpoints", "hf-step-00000024"}


def test_a_polynomial_s_export_has_its_code(small, prepared, tmp_path, export):
    run = untrained.write(small(), tmp_path / "run", prepared)
    assert export(run, "--out", tmp_path / "exported")[0] == 0
    assert names(tmp_path / "exported") == STOCK | CODE


def test_it_says_where_it_comes_from(run, export):
    export(run)
    said = json.loads((run / "hf-step-00000024/export.json").read_text())
    assert (said["recipe"], said["step"], said["weights"]) == ("dense-smoke-swiglu", "24", "trained")
    assert {*said["files"]} == STOCK - {"export.json"}


def test_an_older_export_is_replaced_whole(run, small, prepared, tmp_path, export):
    other = untrained.write(small(), tmp_path / "other", prepared)
    out = tmp_path / "exported"
    assert export(other, "--out", out)[0] == 0
    assert export(run, "--out", out)[0] == 0
    assert names(out) == STOCK
    assert names(tmp_path) == {"run", "other", "exported"}


def test_an_empty_folder_is_taken(run, tmp_path, export):
    (tmp_path / "empty").mkdir()
    assert export(run, "--out", tmp_path / "empty")[0] == 0
    assert names(tmp_path / "empty") == STOCK


def test_a_link_goes_on_to_lead_to_the_export(run, tmp_path, export):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    assert export(run, "--out", tmp_path / "link")[0] == 0
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "disk") == STOCK


def test_a_folder_of_other_files_is_left_alone(run, tmp_path, refused):
    complaint = "holds checkpoints, which no export wrote; move it away, or name another --out"
    assert refused(run, "--out", run) == f"{run} {complaint}"
    assert (run / "checkpoints").is_dir()


def test_an_export_that_holds_a_file_of_someone_else_is_left_alone(run, export, refused):
    export(run)
    (run / "hf-step-00000024/notes.txt").write_text("mine")
    complaint = "holds notes.txt, which no export wrote; move it away, or name another --out"
    assert refused(run) == f"{run}/hf-step-00000024 {complaint}"


def test_a_target_that_is_a_file(run, tmp_path, refused):
    (tmp_path / "file").touch()
    complaint = f"--out expects a folder, and {tmp_path}/file is a file; name another, such as {tmp_path}/file-hf"
    assert refused(run, "--out", tmp_path / "file") == complaint


@pytest.mark.parametrize("name", ["rnn-smoke-polynorm", "mlp-smoke-polynorm", "resnet50-smoke-polynorm"])
def test_a_model_that_transformers_has_not(name, tmp_path, refused):
    run = untrained.write(load(name), tmp_path / "run")
    complaint = f"{name} is no decoder, which is what transformers loads; --to safetensors writes its weights"
    assert refused(run) == complaint


def test_a_run_without_its_tokenizer(small, tmp_path, refused, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "nothing"))
    run = untrained.write(small(), tmp_path / "run")
    assert refused(run).startswith(f"{run} holds no tokenizer.json, and the data it was trained on are not here: ")


def test_a_tokenizer_of_another_model(run, small, prepared, tmp_path, refused):
    other = untrained.write(small({"model.vocab_size": 300}), tmp_path / "other", prepared)
    largest = max(prepared.tokenizer().get_vocab().values())
    assert refused(other) == (
        f"{other}/tokenizer.json is not the tokenizer of dense-smoke-polynorm: its ids go up to {largest} and a "
        "document ends with 0; the model has embeddings for 0 to 299"
    )
    assert names(other) == names(run)


def test_a_disk_without_room_is_told_before_anything_is_read(run, refused, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    monkeypatch.setattr(exporting, "read", None)
    complaint = f"cannot write {run}/hf-step-00000024: it needs 0.10 MB, and its disk has 0.00 MB left"
    assert refused(run) == complaint


def test_a_disk_that_refuses_leaves_what_was_there_and_nothing_else(run, tmp_path, export, refused):
    out = tmp_path / "exported"
    export(run, "--out", out)
    (out / "config.json").write_text("as it was")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        complaint = refused(run, "--out", out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert complaint.endswith("model.safetensors: File too large")
    assert (out / "config.json").read_text() == "as it was"
    assert names(tmp_path) == {"run", "exported"}


def test_a_damaged_checkpoint_leaves_nothing(run, tmp_path, refused):
    shard = next((run / "checkpoints/step-00000024").glob("*.distcp"))
    shard.write_bytes(b"\0" * shard.stat().st_size)
    complaint = refused(run, "--out", tmp_path / "exported")
    assert complaint.startswith(f"cannot read the checkpoint {run}/checkpoints/step-00000024: ")
    assert names(tmp_path) == {"run"}


def test_ctrl_c_leaves_what_was_there_and_nothing_else(run, tmp_path, export, monkeypatch):
    def interrupted(weights, pieces, progress):
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting, "read", interrupted)
    code, _, complaint = export(run, "--out", tmp_path / "exported")
    assert (code, complaint) == (130, "repro: interrupted\n")
    assert names(tmp_path) == {"run"}


def test_what_a_killed_export_left_is_removed_by_the_next_and_what_a_living_one_writes_is_not(run, tmp_path, export):
    killed, living = (tmp_path / f".writing-exported.{letter}" for letter in "ab")
    for folder in (killed, living):
        folder.mkdir()
        (folder / "model.safetensors").touch()
    handle = os.open(living, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert export(run, "--out", tmp_path / "exported")[0] == 0
    finally:
        os.close(handle)
    assert names(tmp_path) == {"run", "exported", living.name}
