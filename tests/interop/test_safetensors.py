"""A run's weights in one file: those that it had in memory, whatever they were sharded over, for any loader."""

import json
import resource
import shutil

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch.multiprocessing.reductions import StorageWeakRef

import repro
from repro import cli, models
from repro.data.text import TokenWindows
from repro.interop.exporting import pieces
from repro.recipe import fingerprint, from_file
from repro.training import checkpoints
from repro.training.language_model import LanguageModel
from tests.conftest import EXPERTS, SMALL
from tests.training.ranks import on_ranks

SHORT = SMALL | {"budget.tokens": 512, "validation.every": 2, "checkpoints.every": 2}  # four steps
PICTURES = {"images": 128, "samples_per_step": 64, "epochs": 1}  # two
TINY = PICTURES | {"model.width": 4, "blocks": "[1, 1]", "data.mixup": 0.2}
RUNS = {
    "dense": ("dense-smoke-polynorm", SHORT),
    "mixture": ("moe-smoke-swiglu", SHORT | EXPERTS | {"balance.scope": "global"}),
    "mixture in copies": ("moe-smoke-polynorm", SHORT | EXPERTS | {"balance.scope": "global", "shard": 1}),
    "recurrent": ("rnn-smoke-polynorm", {"budget.tokens": 2048, "tokens_per_step": 512, "validation.tokens": 512}),
    "perceptron": ("mlp-smoke-polynorm", PICTURES | {"model.width": 8}),
    "resnet": ("resnet50-smoke-polynorm", TINY | {"layout.strategy": "ddp"}),
    "averaged resnet": ("resnet50-smoke-polynorm", TINY | {"layout.strategy": "ddp", "ema": 0.8}),
    "sharded averaged resnet": ("resnet50-smoke-polynorm", TINY | {"layout.strategy": "fsdp2", "ema": 0.8}),
}
BODY = """
import torch
from repro.data.manifest import Prepared
from repro.recipe.schema import LanguageRecipe
from repro.training.image_classifier import ImageClassifier
from repro.training.language_model import LanguageModel
from tests.training.test_replicated import IMAGES

def keep(module):
    network = module.decoder if isinstance(module, LanguageModel) else module.averaged or module.network
    state = network.state_dict()
    whole = {name: tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor for name, tensor in state.items()}
    if rank == 0:
        torch.save(whole, Path(module.trainer.default_root_dir) / "in memory")

LanguageModel.on_train_end = ImageClassifier.on_train_end = keep
prepared = Prepared.open(Path(os.environ["PREPARED"]))
for name, (recipe, settings) in json.loads(os.environ["RUNS"]).items():
    recipe = load(recipe, [f"{key}={value}" for key, value in settings.items()])
    run(recipe, cpus, prepared if isinstance(recipe, LanguageRecipe) else IMAGES, seed=0, folder=Path(name))
"""


@pytest.fixture(scope="module")
def runs(prepared, tmp_path_factory):
    """The folder of :data:`RUNS` on two ranks, each with the weights that it had in memory at its end."""
    folder = tmp_path_factory.mktemp("runs")
    on_ranks(2, BODY, folder, PREPARED=str(prepared.folder), RUNS=json.dumps(RUNS))
    return folder


@pytest.fixture
def export(capsys):
    """Runs ``repro export`` and gives its exit code, what it printed and what it complained of."""

    def export(*arguments):
        code = cli.status(["export", *map(str, arguments)])
        return code, *capsys.readouterr()

    return export


@pytest.fixture
def exported(runs, tmp_path, export):
    """Exports a run and gives its recipe and the file."""

    def exported(name):
        file = tmp_path / "weights.safetensors"
        assert export(runs / name, "--to", "safetensors", "--out", file)[0] == 0
        return from_file(runs / name / "recipe.yaml"), file

    return exported


def trained(recipe, file):
    """The network of a recipe with the weights of a file."""
    network = models.from_recipe(recipe.model)
    network.load_state_dict(load_file(file), strict=True)
    return network


@pytest.mark.parametrize("name", RUNS)
def test_the_file_loads_into_the_model_and_holds_what_was_in_memory_to_the_bit(name, runs, exported):
    ours, theirs = trained(*exported(name)).state_dict(), torch.load(runs / name / "in memory")
    assert ours.keys() == theirs.keys()
    assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []
    assert {tensor.dtype for tensor in ours.values() if tensor.is_floating_point()} == {torch.float32}


def test_the_loaded_model_has_the_losses_of_the_run_s_last_validation(prepared, runs, exported):
    recipe, file = exported("dense")
    module = LanguageModel(trained(recipe, file), recipe.optim, warmup_steps=1, total_steps=1)
    theirs = np.load(runs / "dense/validation.npy")[-1]
    windows = TokenWindows(prepared, "validation", recipe.data.context)
    spread = np.arange(len(theirs)) * len(windows) // len(theirs)
    np.testing.assert_allclose(module.sequence_losses(windows.__getitems__(spread)), theirs, rtol=1e-6)


def test_of_averaged_and_trained_weights_the_averaged_ones_are_written(runs, exported):
    _, file = exported("averaged resnet")
    checkpoint = checkpoints.complete(runs / "averaged resnet/checkpoints")[-1]
    names, held = ("averaged.fc.weight", "network.fc.weight"), checkpoints.outline(checkpoint)
    both = {name: torch.empty_like(held[name], device="cpu") for name in names}
    checkpoints.fill(checkpoint, both)
    ours = load_file(file)["fc.weight"]
    assert torch.equal(ours, both["averaged.fc.weight"])
    assert not torch.equal(ours, both["network.fc.weight"])


@pytest.mark.parametrize(("name", "weights"), [("mixture", "trained"), ("averaged resnet", "averaged")])
def test_the_file_says_what_it_holds(name, weights, exported):
    recipe, file = exported(name)
    with safe_open(file, "pt") as opened:
        said = opened.metadata()
    assert said.pop("repro").startswith(repro.__version__)
    told = {"format": "pt", "recipe": recipe.name, "fingerprint": fingerprint(recipe), "weights": weights}
    assert said == told | {"step": str(recipe.steps)}


def test_by_default_it_lies_in_the_run_s_folder_open_to_who_can_read_that(runs, export):
    code, printed, _ = export(runs / "dense", "--to", "safetensors")
    file = runs / "dense/step-00000004.safetensors"
    assert code == 0
    assert printed.splitlines() == [
        "dense-smoke-polynorm after step 4, trained weights: 21 tensors, 0.09 MB",
        f"written: {file}",
    ]
    assert file.stat().st_mode == (runs / "dense/recipe.yaml").stat().st_mode
    assert export(runs / "dense", "--to", "safetensors")[1].splitlines()[1] == f"replaced: {file}"


def test_a_damaged_checkpoint_is_told_and_another_can_be_named(runs, tmp_path, export):
    shutil.copytree(runs / "dense", tmp_path / "run")
    damaged = tmp_path / "run/checkpoints/step-00000004"
    next(damaged.glob("*.distcp")).unlink()
    code, _, complaint = export(tmp_path / "run", "--to", "safetensors")
    assert (code, complaint.count("\n")) == (2, 1)
    assert str(damaged) in complaint
    assert export(tmp_path / "run", "step=2", "--to", "safetensors")[0] == 0
    assert (tmp_path / "run/step-00000002.safetensors").is_file()


def test_another_checkpoint_can_be_named(runs, tmp_path, export):
    file = tmp_path / "weights"
    code, printed, _ = export(runs / "dense", "step=2", "--to", "safetensors", "--out", file)
    assert code == 0
    assert printed.startswith("dense-smoke-polynorm after step 2, trained weights: ")
    with safe_open(file, "pt") as opened:
        assert opened.metadata()["step"] == "2"


def test_only_the_checkpoint_that_is_taken_is_looked_into(runs, tmp_path, export, monkeypatch):
    looked, outline = [], checkpoints.outline
    monkeypatch.setattr(checkpoints, "outline", lambda path: looked.append(path.name) or outline(path))
    export(runs / "dense", "step=2", "--to", "safetensors", "--out", tmp_path / "weights")
    assert looked == ["step-00000002"]


@pytest.mark.parametrize("at_once", [1, 5_000, 20_000])
def test_memory_holds_what_is_read_at_once_and_the_tensor_that_is_written(runs, tmp_path, export, monkeypatch, at_once):
    alive, most, fill = [], [], checkpoints.fill

    def filled(path, weights):
        alive.extend((StorageWeakRef(one.untyped_storage()), one.nbytes) for one in weights.values())
        most.append(sum(size for storage, size in alive if not storage.expired()))
        fill(path, weights)

    monkeypatch.setattr(pieces, "AT_ONCE", at_once)
    monkeypatch.setattr(checkpoints, "fill", filled)
    export(runs / "mixture", "--to", "safetensors", "--out", tmp_path / "weights")
    sizes = [size for _, size in alive]
    assert len(most) > 1
    assert max(most) <= max(at_once, max(sizes)) + max(sizes) < sum(sizes)


@pytest.fixture
def refused(export):
    """Exports what cannot be and gives the complaint, one line."""

    def refused(*arguments):
        code, _, complaint = export(*arguments)
        assert (code, complaint.count("\n")) == (2, 1)
        return complaint.removeprefix("repro: ").removesuffix("\n")

    return refused


def test_a_format_that_there_is_not(runs, refused):
    complaint = "there is no format 'safetensor' to export to. Did you mean 'safetensors'?"
    assert refused(runs / "dense", "--to", "safetensor") == complaint
    complaint = "there is no format 'gguf' to export to. There are: hf, safetensors."
    assert refused(runs / "dense", "--to", "gguf") == complaint


def test_a_setting_or_a_step_that_there_is_not(runs, refused):
    assert refused(runs / "dense", "stp=2", "--to", "hf") == "export has no setting 'stp'. Did you mean 'step'?"
    complaint = f"{runs}/dense has no complete checkpoint of step=3; there are those of 2, 4"
    assert refused(runs / "dense", "step=3", "--to", "safetensors") == complaint
    complaint = "step=x: expected a whole number from 0 to 1000000000, such as step=1000"
    assert refused(runs / "dense", "step=x", "--to", "safetensors") == complaint


def test_a_run_that_there_is_not(refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused("dense-smoke-gelu@3", "--to", "safetensors").startswith("no run of dense-smoke-gelu@3 lies in runs")


def test_a_run_without_a_complete_checkpoint(runs, refused, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "recipe.yaml").write_text((runs / "dense/recipe.yaml").read_text())
    complaint = f"{tmp_path} has no complete checkpoint; `repro run` writes one as it trains"
    assert refused(tmp_path, "--to", "safetensors") == complaint


def test_a_target_that_is_no_file(runs, refused, tmp_path):
    complaint = f"--out expects a file, and {tmp_path} is none; name one, such as weights.safetensors"
    assert refused(runs / "dense", "--to", "safetensors", "--out", tmp_path) == complaint


def test_a_target_in_what_is_no_folder(runs, refused, tmp_path):
    (tmp_path / "file").touch()
    complaint = refused(runs / "dense", "--to", "safetensors", "--out", tmp_path / "file/weights")
    assert complaint == f"cannot write {tmp_path}/file: File exists"


def test_a_disk_without_room_is_told_before_anything_is_read(runs, refused, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    complaint = refused(runs / "dense", "--to", "safetensors", "--out", tmp_path / "weights")
    assert complaint == f"cannot write {tmp_path}/weights: it needs 0.09 MB, and its disk has 0.00 MB left"


def test_a_disk_that_refuses_leaves_what_was_there_and_nothing_else(runs, refused, tmp_path):
    file = tmp_path / "weights"
    file.write_text("as it was")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, hard))
    try:
        complaint = refused(runs / "dense", "--to", "safetensors", "--out", file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert complaint.startswith(f"cannot write {file}: ")
    assert "File too large" in complaint
    assert file.read_text() == "as it was"
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]
