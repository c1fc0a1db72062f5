"""What cannot be imported is told in one line, with what would fit where that is known, and nothing is written."""

import json

import pytest
import torch

from repro import cli
from repro.data.tokenizer import entries
from repro.errors import RunError
from repro.training.vocabulary import Vocabulary
from repro.training.writing import Writing
from tests.interop.checkpoints import TOKENS, WORDS, args, megatron, megatron_file, ours, saved


def test_sizes_that_differ_are_told_with_the_settings_that_fit(tmp_path, refused):
    file = saved(tmp_path / "w.safetensors", ours("dense-smoke-polynorm").state_dict())
    told = refused(file, "dense-smoke-polynorm", "model.n_layers=3")
    assert "10 tensors are missing (layers.2." in told
    assert told.endswith("; it fits with model.n_layers=2\n")
    theirs = dict(megatron("polynorm").state_dict())
    theirs |= {name: torch.zeros(640, 16) for name in ("output_layer.weight", "embedding.word_embeddings.weight")}
    told = refused(saved(tmp_path / "padded.safetensors", theirs), "dense-smoke-polynorm")
    assert "embedding.word_embeddings.weight is (640, 16), expected (512, 16)" in told
    assert told.endswith("; it fits with model.vocab_size=640\n")


def test_tensors_that_are_missing_or_left_over_are_listed(tmp_path, refused):
    weights = ours("dense-smoke-swiglu").state_dict()
    told = refused(saved(tmp_path / "w.safetensors", weights), "dense-smoke-polynorm")
    assert "4 tensors are missing (layers.{0..1}.mlp.act_fn.weight, layers.{0..1}.mlp.act_fn.bias)" in told
    assert "2 tensors are left over (layers.{0..1}.mlp.gate_proj.weight)" in told
    assert "it fits" not in told
    biased = weights | {"layers.0.self_attn.q_proj.bias": torch.zeros(16)}
    told = refused(saved(tmp_path / "b.safetensors", biased), "dense-smoke-swiglu")
    assert "1 tensor is left over (layers.0.self_attn.q_proj.bias)" in told


def test_all_names_that_are_left_over_are_in_the_line(tmp_path, refused):
    weights = ours("dense-smoke-swiglu", [*WORDS, "model.n_layers=6"]).state_dict()
    told = refused(saved(tmp_path / "w.safetensors", weights | {"extra": torch.zeros(2)}), "dense-smoke-swiglu")
    kinds = {name.partition("layers.2.")[2] for name in weights if "layers.2." in name}
    assert kinds
    assert all(f"layers.{{2..5}}.{kind}" in told for kind in kinds)
    assert "left over (extra, layers" in told


def test_one_odd_number_of_a_layer_is_left_over_and_no_model_of_so_many_is_tried(tmp_path, refused):
    for name, words in {"layers.9999999.x": (), "layers.9999999.mlp.down_proj.weight": ("model.n_layers=3",)}.items():
        weights = ours("dense-smoke-swiglu").state_dict() | {name: torch.zeros(16, 32)}
        told = refused(saved(tmp_path / "w.safetensors", weights), "dense-smoke-swiglu", *words)
        assert f"1 tensor is left over ({name})" in told


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"auto_map": ["x"]}, "config.json (auto_map) holds ['x']; expected keys and values"),
        ({"rope_parameters": [1]}, "config.json (rope_parameters) holds [1]; expected keys and values"),
        ({"num_attention_heads": 0}, "config.json says num_attention_heads=0; expected a whole number above 0"),
        ({"num_attention_heads": -2}, "says num_attention_heads=-2; expected a whole number above 0"),
        ({"num_attention_heads": 2.5}, "says num_attention_heads=2.5; expected a whole number above 0"),
        ({"num_attention_heads": True}, "says num_attention_heads=True; expected a whole number above 0"),
        ({"num_attention_heads": [2]}, "says num_attention_heads=[2]; expected a whole number above 0"),
        ({"rope_theta": 0}, "says rope_theta=0; expected a number above 0"),
        ({"rms_norm_eps": -1e-5}, "says rms_norm_eps=-1e-05; expected a number above 0"),
        ({"rms_norm_eps": "small"}, "says rms_norm_eps='small'; expected a number above 0"),
        ({"max_position_embeddings": float("inf")}, "says max_position_embeddings=inf; expected a whole number above"),
        ({"num_attention_heads": 2, "hidden_size": "x", "head_dim": 8}, "says hidden_size='x'; expected a whole"),
        ({"model_type": "llama", "hidden_act": ["silu"]}, "says hidden_act=['silu'], and no gated activation"),
    ],
    ids=str,
)
def test_what_a_configuration_should_not_hold_is_told(settings, complaint, tmp_path, refused):
    saved(tmp_path / "model.safetensors", ours("dense-smoke-swiglu").state_dict())
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert complaint in refused(tmp_path, "dense-smoke-swiglu")


def test_what_a_configuration_leaves_empty_is_not_said(tmp_path, imported):
    saved(tmp_path / "model.safetensors", ours("dense-smoke-swiglu").state_dict())
    for file, text in {"config.json": '{"auto_map": null, "rope_parameters": null}', "config.yaml": "model:\n"}.items():
        (tmp_path / file).write_text(text)
        assert imported(tmp_path, "dense-smoke-swiglu")[0] == 0
        (tmp_path / file).unlink()


def test_an_activation_that_olmo_s_settings_name_and_nobody_knows_is_told(tmp_path, refused):
    saved(tmp_path / "model.safetensors", ours("dense-smoke-swiglu").state_dict())
    for name in ("gelu_new", ["swiglu"]):
        (tmp_path / "config.yaml").write_text(json.dumps({"model": {"activation_type": name}}))
        assert f"says activation_type={name!r}, and no activation here" in refused(tmp_path, "dense-smoke-swiglu")


def test_arguments_are_read_from_a_dictionary_too(tmp_path, refused):
    content = {"model": megatron("polynorm").state_dict(), "args": vars(args(polynorm=True, norm_epsilon=1e-6))}
    torch.save(content, tmp_path / "w.pt")
    assert "says model.norm_eps=1e-06" in refused(tmp_path / "w.pt", "dense-smoke-polynorm")
    torch.save(content | {"args": 7}, tmp_path / "w.pt")
    assert "w.pt (args) holds 7; expected keys and values" in refused(tmp_path / "w.pt", "dense-smoke-polynorm")


def test_no_recipe_is_suggested_that_there_cannot_be(tmp_path, refused):
    saved(tmp_path / "model.safetensors", ours("dense-smoke-swiglu").state_dict())
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 3}))  # of 16
    assert refused(tmp_path, "dense-smoke-swiglu").endswith("says model.n_heads=3 where dense-smoke-swiglu has 2\n")


def test_two_names_for_one_tensor_are_refused(tmp_path, refused):
    weights = ours("dense-smoke-swiglu").state_dict()
    weights["model.norm.weight"] = weights["norm.weight"].clone()
    assert "two tensors for one" in refused(saved(tmp_path / "w.safetensors", weights), "dense-smoke-swiglu")


def test_quantised_weights_are_refused(tmp_path, refused):
    weights = ours("dense-smoke-swiglu").state_dict()
    weights["norm.weight"] = weights["norm.weight"].to(torch.int8)
    assert "norm.weight holds whole numbers" in refused(
        saved(tmp_path / "w.safetensors", weights), "dense-smoke-swiglu"
    )


def test_what_megatron_s_arguments_say_is_held_against_the_recipe(tmp_path, refused):
    theirs = megatron("polynorm")
    of = {"eps": {"norm_epsilon": 1e-6}, "other": {"polynorm": False, "polyrelu": True}}
    of |= {"grouped": {"group_query_attention": True, "num_query_groups": 1}, "biased": {"add_bias_linear": True}}
    told = {}
    for word, changes in of.items():
        folder = megatron_file(tmp_path / word, theirs, args(**{"polynorm": True} | changes))
        told[word] = refused(folder, "dense-smoke-polynorm")
    assert (
        "says model.norm_eps=1e-06 where dense-smoke-polynorm has 1e-05; it fits with model.norm_eps=1e-06"
        in told["eps"]
    )
    assert "it fits dense-smoke-polyrelu\n" in told["other"]
    assert "says 2 heads of queries share 1 of keys and values" in told["grouped"]
    assert "says add_bias_linear=True" in told["biased"]


def test_whole_matrices_are_not_taken_for_products(tmp_path, refused):
    file = megatron_file(tmp_path / "theirs", megatron("polynorm"), args(polynorm=True))
    assert "ffn_rank=4: the official dense layout has whole FFN matrices; import it without ffn_rank" in refused(
        file, "dense-smoke-polynorm", "ffn_rank=4"
    )
    file = saved(tmp_path / "w.safetensors", ours("dense-smoke-swiglu").state_dict())
    assert "6 tensors are left over" in (told := refused(file, "dense-smoke-swiglu", "ffn_rank=4"))
    assert "12 tensors are missing" in told


def test_a_checkpoint_of_several_ranks_is_refused(tmp_path, refused):
    folder = megatron_file(tmp_path / "theirs", megatron("polynorm"), args(polynorm=True), ranks=2)
    assert "split over 2 ranks of tensor or pipeline parallelism" in refused(folder, "dense-smoke-polynorm")


class Harmful:
    def __reduce__(self):
        return print, ("harm",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_holds_code_is_not_read(zipped, tmp_path, refused, capsys):
    content = ours("dense-smoke-swiglu").state_dict() | {"more": Harmful()}
    torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    told = refused(tmp_path / "w.pt", "dense-smoke-swiglu")
    assert "could run code" in told
    assert "harm" not in told
    assert not zipped or "builtins.print" in told


@pytest.mark.parametrize("file", ["w.safetensors", "w.pt", "old.pt"])
def test_a_file_that_was_cut_short_is_told(file, tmp_path, refused):
    weights = ours("dense-smoke-swiglu").state_dict()
    if file == "w.safetensors":
        saved(tmp_path / file, weights)
    else:
        torch.save(weights, tmp_path / file, _use_new_zipfile_serialization=file == "w.pt")
    whole = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(whole[: len(whole) // 2])
    assert f"cannot read {tmp_path / file}: " in refused(tmp_path / file, "dense-smoke-swiglu")


def test_an_index_whose_file_is_not_there_is_told(tmp_path, refused):
    (tmp_path / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "x-1.safetensors", "b": "x-2.safetensors"}}'
    )
    assert "lacks x-1.safetensors and 1 more of the 2 files" in refused(tmp_path, "dense-smoke-swiglu")


def test_what_is_no_checkpoint_is_told(tmp_path, refused):
    assert "there is no such file or folder" in refused(tmp_path / "absent", "dense-smoke-swiglu")
    assert "is not known to hold a checkpoint: there is none" in refused(tmp_path, "dense-smoke-swiglu")
    for name in "ab":
        saved(tmp_path / f"{name}.safetensors", {"x": TOKENS})
    assert "there is 2 files that could be meant" in refused(tmp_path, "dense-smoke-swiglu")
    told = refused(tmp_path / "a.safetensors", "dense-smoke-swiglu")
    assert (
        "is not laid out as by Megatron or OLMo or Hugging Face, which --from official reads; its names begin with x"
        in told
    )
    (tmp_path / "notes.txt").write_text("")
    assert "is no checkpoint by its name" in refused(tmp_path / "notes.txt", "dense-smoke-swiglu")


def test_another_word_for_whose_layout_it_is_gets_the_nearest(tmp_path, refused):
    file = saved(tmp_path / "w.safetensors", megatron("swiglu").state_dict())
    assert "there is no layout 'offical' to import from. Did you mean 'official'?" in refused(
        file, "dense-smoke-swiglu", source="offical"
    )
    assert "try --from official" in refused(file, "dense-smoke-swiglu", source="hf")
    assert "no recipe is called 'dense-smoke-swigul'" in refused(file, "dense-smoke-swigul")


def test_a_recipe_of_another_kind_of_model_is_refused(tmp_path, capsys):
    file = saved(tmp_path / "w.safetensors", ours("dense-smoke-swiglu").state_dict())
    assert cli.status(["import", str(file), "--from", "hf", "--as", "resnet50-smoke-relu"]) == 2
    assert "is laid out as by Hugging Face, and no model of resnet50-smoke-relu is" in capsys.readouterr()[1]


def test_a_tokenizer_of_another_model_is_refused(prepared, tmp_path, capsys):
    words = ["model.vocab_size=300", *WORDS[1:]]
    file = saved(tmp_path / "w.safetensors", ours("dense-smoke-swiglu", words).state_dict())
    theirs = Vocabulary.of_data(prepared)
    word = f"tokenizer={theirs.path}"
    assert cli.status(["import", str(file), *words, word, "--from", "hf", "--as", "dense-smoke-swiglu"]) == 2
    assert f"has {entries(theirs.tokenizer)} entries, and the model a vocabulary of 300" in capsys.readouterr()[1]


def test_a_tokenizer_that_is_not_there_is_told(tmp_path, refused):
    file = saved(tmp_path / "w.safetensors", ours("dense-smoke-swiglu").state_dict())
    absent = tmp_path / "absent.json"
    assert f"tokenizer={absent}: there is no such file" in refused(file, "dense-smoke-swiglu", f"tokenizer={absent}")


def test_of_an_import_that_the_disk_refuses_nothing_stays(tmp_path, imported, monkeypatch):
    def full(writing):
        raise RunError("no space left on the disk")

    monkeypatch.setattr(Writing, "finish", full)
    file = saved(tmp_path / "w.safetensors", ours("dense-smoke-swiglu").state_dict())
    code, _, told = imported(file, "dense-smoke-swiglu")
    assert (code, told) == (2, "repro: no space left on the disk\n")
    assert [path for path in (tmp_path / "runs").rglob("*") if path.is_file()] == []
