"""Weights that others trained become a run: the same function as theirs, all of it, or one line that says why not."""

import json

import pytest
import torch
from safetensors.torch import load_file

from repro import cli, models
from repro.errors import RunError
from repro.recipe import from_file, load, runs
from repro.training.trained import Trained
from repro.training.writing import Writing
from tests.interop.checkpoints import WORDS, args, error_of, megatron, megatron_file, network, olmo, ours, saved


@pytest.mark.parametrize("activation", ["polynorm", "polyrelu", "swiglu", "gelu", "relu2"])
def test_megatron_s_model_is_the_same_function_here(activation, tmp_path, run):
    theirs = megatron(activation)
    weights = {f"model.language_model.{name}": tensor for name, tensor in theirs.state_dict().items()}
    folder = run(saved(tmp_path / "model.safetensors", weights), f"dense-smoke-{activation}")
    assert error_of(network(folder), theirs) < 4


@pytest.mark.parametrize("activation", ["polynorm", "polyrelu", "swiglu"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_olmo_s_mixture_is_the_same_function_here(activation, prefix, tmp_path, run):
    theirs = olmo(activation)
    torch.save({f"{prefix}{name}": tensor for name, tensor in theirs.state_dict().items()}, tmp_path / "model.pt")
    assert error_of(network(run(tmp_path, f"moe-smoke-{activation}")), theirs) < 4


def test_megatron_s_own_file_is_read_with_what_else_lies_in_it(tmp_path, run, imported):
    theirs = megatron("polynorm")
    checkpoint = megatron_file(tmp_path / "theirs", theirs, args(polynorm=True))
    folder = run(checkpoint, "dense-smoke-polynorm", "step=7")
    assert Trained.at(folder).step == 7
    assert error_of(network(folder), theirs) < 4
    assert "the recipe has it" not in imported(checkpoint, "dense-smoke-polynorm")[1]  # its arguments say all
    longer = megatron_file(tmp_path / "longer", theirs, args(polynorm=True, max_position_embeddings=256))
    told = imported(longer, "dense-smoke-polynorm")[1]
    assert "model_optim_rng.pt (args) says that it sees 256 tokens, and the recipe says 64" in told


@pytest.mark.parametrize("place", ["act_fn", "activation_func"])
def test_a_model_with_hugging_face_s_names_and_official_coefficients_comes_back_to_the_bit(place, tmp_path, run):
    mine = ours("dense-smoke-polynorm").state_dict()
    theirs = {}
    for name, tensor in mine.items():
        if name.endswith("act_fn.coeff"):
            above = name.removesuffix("act_fn.coeff") + place
            theirs |= {f"model.{above}.weight": tensor[[3, 2, 1]], f"model.{above}.bias": tensor[:1]}
        else:
            theirs[name if name.startswith("lm_head") else f"model.{name}"] = tensor
    got = network(run(saved(tmp_path / "w.safetensors", theirs), "dense-smoke-polynorm")).state_dict()
    assert got.keys() == mine.keys()
    assert [name for name in mine if not torch.equal(got[name], mine[name])] == []


@pytest.mark.parametrize("name", ["dense-smoke-polyprelu", "moe-smoke-polynorm", "moe-smoke-swiglu"])
def test_a_model_in_several_files_with_our_own_names_comes_back_to_the_bit(name, tmp_path, run):
    mine = ours(name).state_dict()
    halves = {"a.safetensors": list(mine)[::2], "b.safetensors": list(mine)[1::2]}
    for file, names in halves.items():
        saved(tmp_path / file, {one: mine[one] for one in names})
    index = {"weight_map": {one: file for file, names in halves.items() for one in names}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    got = network(run(tmp_path, name)).state_dict()
    assert [one for one in mine if not torch.equal(got[one], mine[one])] == []


def test_an_expert_s_coefficients_of_its_own_come_back_too(tmp_path, run):
    words = "model.coefficients=expert"
    mine = ours("moe-smoke-polyrelu", [*WORDS, words]).state_dict()
    got = network(run(saved(tmp_path / "w.safetensors", mine), "moe-smoke-polyrelu", words)).state_dict()
    assert [one for one in mine if not torch.equal(got[one], mine[one])] == []


def test_what_is_stored_in_16_bits_is_exact_in_the_run(tmp_path, run):
    mine = {name: tensor.bfloat16() for name, tensor in ours("dense-smoke-polynorm").state_dict().items()}
    torch.save({"state_dict": mine}, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    got = network(run(tmp_path / "w.pth", "dense-smoke-polynorm")).state_dict()
    assert {tensor.dtype for tensor in got.values()} == {torch.float32}
    assert [one for one in mine if not torch.equal(got[one], mine[one].float())] == []


def test_an_imported_run_keeps_its_tokenizer_its_origin_and_its_recipe(prepared, tmp_path, run):
    folder = tmp_path / "theirs"
    folder.mkdir()
    saved(folder / "model.safetensors", ours("dense-smoke-polynorm").state_dict())
    (folder / "tokenizer.json").write_bytes((prepared.folder / "tokenizer.json").read_bytes())
    made = run(folder, "dense-smoke-polynorm")
    trained = Trained.at(made)
    assert trained.vocabulary.eos_id == 0
    assert trained.vocabulary.tokenizer.encode("the order").ids
    assert from_file(made / "recipe.yaml").model.d_ff == 48
    assert "layout: Hugging Face" in (made / "imported.yaml").read_text()
    assert str(tmp_path) not in (made / "imported.yaml").read_text()
    with pytest.raises(RunError, match="no run of dense-smoke-polynorm lies in"):  # that `repro run` would go on with
        runs.find("dense-smoke-polynorm", tmp_path / "runs")


def test_an_imported_run_can_be_exported_again(tmp_path, run, capsys):
    mine = ours("dense-smoke-polynorm").state_dict()
    folder = run(saved(tmp_path / "w.safetensors", mine), "dense-smoke-polynorm")
    file = tmp_path / "again.safetensors"
    assert cli.status(["export", str(folder), "--to", "safetensors", "--out", str(file)]) == 0
    again = load_file(file)
    assert [one for one in mine if not torch.equal(again[one], mine[one])] == []


def test_olmo_s_settings_beside_its_weights_are_held_against_the_recipe(tmp_path, imported):
    torch.save(olmo("polynorm").state_dict(), tmp_path / "model.pt")
    settings = {"n_heads": 2, "moe_top_k": 2, "rope_theta": 10_000, "layer_norm_eps": 1e-5, "clip_qkv": None}
    (tmp_path / "config.yaml").write_text(json.dumps({"model": settings | {"activation_type": "polynorm"}}))
    assert "the recipe has it" not in imported(tmp_path, "moe-smoke-polynorm")[1]
    (tmp_path / "config.yaml").write_text(json.dumps({"model": settings | {"max_sequence_length": 128}}))
    assert "config.yaml says that it sees 128 tokens" in imported(tmp_path, "moe-smoke-polynorm")[1]
    (tmp_path / "config.yaml").write_text(json.dumps({"model": settings | {"moe_top_k": 3}}))
    assert imported(tmp_path, "moe-smoke-polynorm")[2].endswith("has 2; it fits with model.top_k=3\n")
    (tmp_path / "config.yaml").write_text(json.dumps({"model": settings | {"clip_qkv": 8}}))
    assert "says clip_qkv=8, and the models here know nothing but None" in imported(tmp_path, "moe-smoke-polynorm")[2]


def test_without_a_tokenizer_the_model_is_imported_and_says_so(tmp_path, imported):
    file = saved(tmp_path / "w.safetensors", ours("dense-smoke-polynorm").state_dict())
    code, told, _ = imported(file, "dense-smoke-polynorm")
    assert code == 0
    assert "tokenizer=FILE" in told
    assert "the recipe has it: n_heads=2, rope_theta=10000.0, norm_eps=1e-05" in told


def test_a_second_import_of_the_same_files_finds_the_first(tmp_path, imported):
    file = saved(tmp_path / "w.safetensors", ours("dense-smoke-polynorm").state_dict())
    first, again = (imported(file, "dense-smoke-polynorm")[1] for _ in range(2))
    assert again == first.replace("\nimported: ", "\nalready imported: ")
    assert len(list((tmp_path / "runs").glob("*/*/*"))) == 1


def test_of_two_imports_at_once_both_find_one_whole_run(tmp_path, imported, monkeypatch):
    file = saved(tmp_path / "w.safetensors", ours("dense-smoke-polynorm").state_dict())
    finish, others = Writing.finish, []

    def finished(writing):
        if not others:  # while the first writes
            others.append(None)
            others.append(imported(file, "dense-smoke-polynorm"))
        finish(writing)

    monkeypatch.setattr(Writing, "finish", finished)
    code, told, _ = imported(file, "dense-smoke-polynorm")
    assert (code, others[1][0]) == (0, 0)
    (folder,) = (tmp_path / "runs").glob("*/*/*")
    assert folder.name in told
    assert len(network(folder).state_dict()) == len(load_file(file))


def test_our_own_resnet_comes_back(tmp_path, run, capsys):
    recipe = load("resnet50-smoke-polynorm")
    torch.manual_seed(0)
    mine = models.from_recipe(recipe.model).state_dict()
    file = saved(tmp_path / "w.safetensors", mine)
    words = ["import", file, "--from", "torchvision", "--as", recipe.name, "--out", tmp_path / "runs"]
    assert cli.status([*map(str, words)]) == 0
    got = network(runs.find(capsys.readouterr()[0].rpartition("imported: ")[2].strip())).state_dict()
    assert [one for one in mine if not torch.equal(got[one], mine[one])] == []
    told = cli.status([*map(str, [*words[:5], "resnet50-smoke-relu", *words[6:]])]), capsys.readouterr()[1]
    assert told[0] == 2
    assert "tensors are left over (act1.coeff, " in told[1]


def test_torchvision_s_resnet_is_the_same_function_here(tmp_path, capsys):
    from torchvision.models import resnet50

    torch.manual_seed(0)
    theirs = resnet50().eval()
    old = {name: tensor for name, tensor in theirs.state_dict().items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "resnet50.pth")
    words = [tmp_path / "resnet50.pth", "--from", "torchvision", "--out", tmp_path / "runs"]
    assert cli.status([*map(str, ["import", *words, "--as", "resnet50-imagenet-relu"])]) == 0
    folder = runs.find(capsys.readouterr()[0].rpartition("imported: ")[2].strip())
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(folder)(images), theirs(images), rtol=1e-4, atol=1e-4)
    assert cli.status([*map(str, ["import", *words, "--as", "resnet50-imagenet-relu", "model.classes=10"])]) == 2
    assert "fc.weight is (1000, 2048), expected (10, 2048); it fits with model.classes=1000" in capsys.readouterr()[1]
    assert cli.status([*map(str, ["import", *words, "--as", "resnet50-imagenet-gelu"])]) == 2
    assert "says model.activation=relu where resnet50-imagenet-gelu has gelu" in capsys.readouterr()[1]
