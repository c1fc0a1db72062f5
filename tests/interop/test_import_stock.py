"""Models that transformers made and saved are the same functions here; those that ours cannot be are refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM, OlmoeConfig, OlmoeForCausalLM

from repro.training.trained import Trained
from tests.interop.checkpoints import TOKENS, network

SIZES = {
    "vocab_size": 512,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "rms_norm_eps": 1e-5,
    "initializer_range": 0.2,
}


def llama(folder, **changes):
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZES | changes)).eval()
    model.save_pretrained(folder, max_shard_size="20kB")
    return model


def olmoe(folder, **changes):
    torch.manual_seed(0)
    model = OlmoeForCausalLM(OlmoeConfig(**SIZES | {"num_experts": 4, "num_experts_per_tok": 2} | changes)).eval()
    model.save_pretrained(folder)
    return model


@torch.no_grad()
def assert_same(mine, theirs):
    """Two orders of the same sums in float32: logits of size 1, a few units of rounding apart."""
    torch.testing.assert_close(mine(TOKENS), theirs(TOKENS).logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("source", ["hf", "official"])
def test_a_stock_llama_in_several_files_is_the_same_function(source, tmp_path, run):
    theirs = llama(tmp_path / "theirs")
    assert len(list((tmp_path / "theirs").glob("*.safetensors"))) > 1
    assert_same(network(run(tmp_path / "theirs", "dense-smoke-swiglu", source=source)), theirs)


def test_a_stock_olmoe_is_the_same_function(tmp_path, run):
    theirs = olmoe(tmp_path / "theirs")
    assert_same(network(run(tmp_path / "theirs", "moe-smoke-swiglu", source="hf")), theirs)


def test_an_olmoe_whose_experts_are_stacked_in_its_file_is_too(tmp_path, run):
    theirs = olmoe(tmp_path / "theirs")
    torch.save(theirs.state_dict(), tmp_path / "theirs/pytorch_model.bin")
    (tmp_path / "theirs/model.safetensors").unlink()
    assert_same(network(run(tmp_path / "theirs", "moe-smoke-swiglu", source="hf")), theirs)


def test_a_head_that_is_the_embedding_is_written_out(tmp_path, imported, run):
    theirs = llama(tmp_path / "theirs", tie_word_embeddings=True)
    told = imported(tmp_path / "theirs", "dense-smoke-swiglu", source="hf")[1]
    assert "its head is its embedding, and is written out" in told
    folder = told.rpartition("imported: ")[2].strip()
    assert_same(network(Path(folder)), theirs)


def test_a_head_that_should_be_the_embedding_and_is_not_is_refused(tmp_path, run, refused):
    theirs = llama(tmp_path / "theirs")  # its head is its own
    config = tmp_path / "theirs/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"tie_word_embeddings": True}))
    told = refused(tmp_path / "theirs", "dense-smoke-swiglu", source="hf")
    assert "config.json says that its head is its embedding, and lm_head.weight holds other numbers" in told
    theirs.lm_head.weight = theirs.model.embed_tokens.weight
    torch.save(theirs.state_dict(), tmp_path / "theirs/pytorch_model.bin")
    for file in (tmp_path / "theirs").glob("*.safetensors*"):
        file.unlink()
    assert_same(network(run(tmp_path / "theirs", "dense-smoke-swiglu", source="hf")), theirs)


def test_another_context_is_told_and_can_be_set(tmp_path, run, imported):
    theirs = llama(tmp_path / "theirs", max_position_embeddings=2048)
    told = imported(tmp_path / "theirs", "dense-smoke-swiglu", source="hf")[1]
    words = "data.context=2048 budget.tokens_per_step=2048 validation.tokens=2048"
    assert "config.json says that it sees 2,048 tokens, and the recipe says 64" in told
    assert f"go by; {words} takes its own\n" in told
    folder = run(tmp_path / "theirs", "dense-smoke-swiglu", *words.split(), source="hf")
    assert Trained.at(folder).recipe.data.context == 2048
    assert_same(network(folder), theirs)
    assert "tokens" not in imported(tmp_path / "theirs", "dense-smoke-swiglu", *words.split(), source="hf")[1]


def test_a_context_that_the_recipe_has_room_for_is_all_that_has_to_be_set(tmp_path, imported):
    llama(tmp_path / "theirs", max_position_embeddings=128)
    told = imported(tmp_path / "theirs", "dense-smoke-swiglu", source="hf")[1]
    assert "go by; data.context=128 takes its own\n" in told


def test_other_bases_and_eps_are_told_and_can_be_set(tmp_path, run, refused):
    theirs = llama(tmp_path / "theirs", rms_norm_eps=1e-6, rope_parameters={"rope_type": "default", "rope_theta": 5e5})
    words = "model.norm_eps=1e-06 model.rope_theta=500000.0"
    told = refused(tmp_path / "theirs", "dense-smoke-swiglu", source="hf")
    assert told.endswith(f"says model.norm_eps=1e-06 where dense-smoke-swiglu has 1e-05; it fits with {words}\n")
    assert_same(network(run(tmp_path / "theirs", "dense-smoke-swiglu", *words.split(), source="hf")), theirs)


def test_a_llama_with_another_gate_is_the_recipe_of_that(tmp_path, run):
    theirs = llama(tmp_path / "theirs", hidden_act="gelu")
    assert_same(network(run(tmp_path / "theirs", "dense-smoke-geglu", source="hf")), theirs)


REFUSED = {
    "grouped queries": ({"num_key_value_heads": 1}, "2 heads of queries share 1 of keys and values"),
    "biases": ({"attention_bias": True}, "says attention_bias=True"),
    "wide heads": ({"head_dim": 16}, "says head_dim=16"),
    "another activation": ({"hidden_act": "gelu"}, "says model.activation=geglu where dense-smoke-swiglu has swiglu"),
    "an unknown activation": ({"hidden_act": "tanh"}, "says hidden_act='tanh', and no gated activation"),
    "stretched positions": (
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
        "says rope_type='linear'",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_llama_that_ours_cannot_be_is_refused(what, tmp_path, refused):
    changes, why = REFUSED[what]
    llama(tmp_path / "theirs", **changes)
    assert why in refused(tmp_path / "theirs", "dense-smoke-swiglu", source="hf")


def test_experts_whose_weights_are_made_to_add_up_to_one_are_refused(tmp_path, refused):
    olmoe(tmp_path / "theirs", norm_topk_prob=True)
    assert "says norm_topk_prob=True" in refused(tmp_path / "theirs", "moe-smoke-swiglu", source="hf")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"auto_map": {"AutoModelForCausalLM": "modeling_x.X"}},
            "code that comes with it (modeling_x.X), which is never",
        ),
        ({"model_type": "gemma"}, "says model_type=gemma; --from hf reads llama and olmoe"),
    ],
)
def test_a_model_that_is_not_stock_is_refused_as_such(changes, why, tmp_path, refused):
    llama(tmp_path / "theirs")
    config = json.loads((tmp_path / "theirs/config.json").read_text())
    (tmp_path / "theirs/config.json").write_text(json.dumps(config | changes))
    assert why in refused(tmp_path / "theirs", "dense-smoke-swiglu", source="hf")


def test_frequencies_in_an_old_file_are_held_against_the_recipe(tmp_path, run, refused):
    theirs = llama(tmp_path / "theirs")
    weights = {}
    for file in (tmp_path / "theirs").glob("*.safetensors"):
        weights |= load_file(file)
    name = "model.layers.0.self_attn.rotary_emb.inv_freq"
    save_file(weights | {name: torch.tensor([1.0, 0.5, 0.1, 0.01])}, tmp_path / "w.safetensors")
    assert "is not what rope_theta=10000 and 2 heads of 8 give" in refused(
        tmp_path / "w.safetensors", "dense-smoke-swiglu", source="hf"
    )
    save_file(weights | {name: 10_000 ** -torch.tensor([0, 0.25, 0.5, 0.75])}, tmp_path / "w.safetensors")
    assert_same(network(run(tmp_path / "w.safetensors", "dense-smoke-swiglu", source="hf")), theirs)
