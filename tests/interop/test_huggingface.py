"""A run as transformers loads it: the same logits, the same greedy text, the same tokens."""

import json
import sys

import pytest
import torch
from safetensors import safe_open

from repro.interop.exporting import export, pieces
from repro.training import checkpoints, sharding
from repro.training.trained import Trained
from tests.interop import untrained

pytest.importorskip("transformers", "5")  # which dev has

import transformers

from tests.interop.trusting import modules_in

# recipe and what differs from the small one; the class that transformers makes of it, and whether it is its own
EXPORTS = {
    "dense swiglu": ("dense", "swiglu", {}, "LlamaForCausalLM", True),
    "dense geglu": ("dense", "geglu", {}, "LlamaForCausalLM", True),
    "dense polynorm": ("dense", "polynorm", {}, "PolyComForCausalLM", False),
    "dense polyrelu": ("dense", "polyrelu", {}, "PolyComForCausalLM", False),
    "dense polynorm_glu": ("dense", "polynorm_glu", {}, "PolyComForCausalLM", False),
    "experts swiglu": ("moe", "swiglu", {}, "OlmoeForCausalLM", True),
    "experts polynorm": ("moe", "polynorm", {}, "PolyComMoEForCausalLM", False),
    "experts polyrelu": ("moe", "polyrelu", {}, "PolyComMoEForCausalLM", False),
    "coefficients of experts": ("moe", "polynorm", {"model.coefficients": "expert"}, "PolyComMoEForCausalLM", False),
    "experts without norms": ("moe", "swiglu", {"model.qk_norm": "false"}, "PolyComMoEForCausalLM", False),
}
ODD = 'def f(x):\n\t"""héllo  wörld"""\r\n  return x ** 2  # 😀 <|endoftext|>\u00a0 \x00\n\n\n'


@pytest.fixture(autouse=True, scope="module")
def code_of_others(tmp_path_factory):
    with modules_in(tmp_path_factory.mktemp("modules")):
        yield


@pytest.fixture
def exported(small, prepared, tmp_path, monkeypatch):
    """Exports a run with random weights, where transformers cannot be imported, and gives it and the folder."""

    def exported(family, activation, changes=()):
        run = untrained.write(small(changes, activation, family), tmp_path / "run", prepared)
        trained = Trained.at(run)
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "transformers", None)
            plan = export.as_huggingface(trained, tmp_path / "exported")
            export.write_folder(trained, plan)
        return trained, plan.path

    return exported


def loaded(folder, *, stock, **options):
    """The model, as transformers reads the folder; nothing is missing, nothing left over."""
    trust = {} if stock else {"trust_remote_code": True}
    model, told = transformers.AutoModelForCausalLM.from_pretrained(
        folder, output_loading_info=True, **trust, **options
    )
    assert not any(told.values())
    return model


@pytest.fixture
def tokens():
    return torch.randint(0, 512, (3, 16), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", EXPORTS)
@torch.no_grad()
def test_logits_are_equal_to_the_bit_and_greedy_text_with_a_cache_is_ours(name, exported, tokens):
    family, activation, changes, kind, stock = EXPORTS[name]
    trained, folder = exported(family, activation, changes)
    ours, theirs = trained.network(torch.device("cpu")), loaded(folder, stock=stock)
    assert (type(theirs).__name__, theirs.dtype) == (kind, torch.float32)
    assert torch.equal(theirs(tokens).logits, ours(tokens))
    written = tokens[:, :4]
    for _ in range(12):
        written = torch.cat([written, ours(written)[:, -1:].argmax(-1)], dim=1)
    mask = torch.ones(3, 4, dtype=torch.long)
    generated = theirs.generate(tokens[:, :4], attention_mask=mask, max_new_tokens=12, do_sample=False, eos_token_id=-1)
    assert torch.equal(generated, written)


@pytest.mark.parametrize(("activation", "kind"), [("swiglu", "LlamaForCausalLM"), ("polynorm", "PolyComForCausalLM")])
@torch.no_grad()
def test_products_of_low_rank_are_multiplied_out(activation, kind, exported, tokens):
    """Rounding a product once rather than twice moves logits by as much as another order of adding does."""
    trained, folder = exported("dense", activation, {"model.ffn_rank": 6})
    ours, theirs = trained.network(torch.device("cpu")), loaded(folder, stock=kind == "LlamaForCausalLM")
    assert type(theirs).__name__ == kind
    module = ours.layers[1].mlp.down_proj
    assert torch.equal(theirs.model.layers[1].mlp.down_proj.weight, module.left.weight @ module.right.weight)
    truth = trained.network(torch.device("cpu")).double()(tokens)
    errors = [(logits - truth).square().mean().sqrt() for logits in (theirs(tokens).logits, ours(tokens))]
    assert errors[0] < 2 * errors[1]
    assert "| FFN matrices | of rank 6: products of two factors" in (folder / "README.md").read_text()


@pytest.mark.parametrize("name", ["dense swiglu", "dense polynorm", "experts polynorm"])
@torch.no_grad()
def test_in_bfloat16_it_is_as_near_the_truth_as_ours(name, exported, tokens):
    family, activation, changes, _, stock = EXPORTS[name]
    trained, folder = exported(family, activation, changes)
    ours, truth = trained.network(torch.device("cpu")), trained.network(torch.device("cpu"))(tokens)
    sharding.in_bfloat16(ours)
    theirs = loaded(folder, stock=stock, dtype=torch.bfloat16)
    wide = {name for name, parameter in theirs.named_parameters() if parameter.dtype == torch.float32}
    assert all("act_fn" in name or name.endswith("mlp.gate.weight") for name in wide)
    assert bool(wide) is not stock
    errors = [(logits - truth).square().mean().sqrt() for logits in (theirs(tokens).logits, ours(tokens))]
    assert errors[0] < 1.5 * errors[1]  # transformers rounds cosines and sines too


def test_code_is_not_run_unless_it_is_trusted(exported):
    _, folder = exported("dense", "polynorm")
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False)


def test_the_tokenizer_makes_and_reads_the_tokens_of_training(exported):
    trained, folder = exported("dense", "swiglu")
    ours, theirs = trained.vocabulary.tokenizer, transformers.AutoTokenizer.from_pretrained(folder)
    assert theirs(ODD).input_ids == ours.encode(ODD).ids
    assert theirs.decode(theirs(ODD).input_ids) == ODD
    assert theirs.decode([trained.vocabulary.eos_id, 40], skip_special_tokens=True) == ours.decode([40])
    assert {theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id} == {trained.vocabulary.eos_id}


def test_a_tokenizer_that_puts_a_token_of_its_own_before_a_text_no_longer_does(exported, small, prepared, tmp_path):
    run = untrained.write(small(activation="swiglu"), tmp_path / "run", prepared)
    tokenizer = json.loads((run / "tokenizer.json").read_text())
    before = {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}
    own = {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}}
    a, b = {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}
    template = {"type": "TemplateProcessing", "single": [before, a], "pair": [a, b], "special_tokens": own}
    (run / "tokenizer.json").write_text(json.dumps(tokenizer | {"post_processor": template}))
    trained = Trained.at(run)
    plan = export.as_huggingface(trained, tmp_path / "exported")
    export.write_folder(trained, plan)
    theirs = transformers.AutoTokenizer.from_pretrained(plan.path)
    assert theirs(ODD).input_ids == trained.vocabulary.tokenizer.encode(ODD, add_special_tokens=False).ids


def test_the_configuration_says_what_the_recipe_does(exported):
    trained, folder = exported("moe", "swiglu")
    config, model = transformers.AutoConfig.from_pretrained(folder), trained.recipe.model
    assert (config.model_type, config.architectures) == ("olmoe", ["OlmoeForCausalLM"])
    assert config.intermediate_size == model.d_ff * 2 // 3
    assert (config.num_experts, config.num_experts_per_tok, config.norm_topk_prob) == (4, 2, False)
    assert config.max_position_embeddings == trained.recipe.data.context
    assert config.rope_parameters == {"rope_type": "default", "rope_theta": model.rope_theta}
    assert config.rms_norm_eps == model.norm_eps
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (0, 0, None)
    assert not config.tie_word_embeddings


@torch.no_grad()
def test_a_large_model_is_several_files_with_an_index(exported, tokens, monkeypatch):
    monkeypatch.setattr(export, "SHARD", 60_000)
    trained, folder = exported("moe", "swiglu")
    names = sorted(path.name for path in folder.glob("*.safetensors"))
    assert names == [f"model-{i:05}-of-{len(names):05}.safetensors" for i in range(1, len(names) + 1)]
    assert len(names) > 2
    assert max((folder / name).stat().st_size for name in names) < 60_000 + 8_000  # of header
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == trained.weights.size
    for name in names:
        with safe_open(folder / name, "pt") as file:
            assert {*file.keys()} == {key for key, where in index["weight_map"].items() if where == name}
    assert torch.equal(loaded(folder, stock=True)(tokens).logits, trained.network(torch.device("cpu"))(tokens))


def test_a_model_is_read_a_few_tensors_at_a_time(exported, monkeypatch):
    read = []
    monkeypatch.setattr(pieces, "AT_ONCE", 40_000)
    fill = checkpoints.fill
    monkeypatch.setattr(checkpoints, "fill", lambda path, tensors: (read.append({**tensors}), fill(path, tensors))[1])
    trained, _ = exported("moe", "swiglu")
    assert sorted(name for tensors in read for name in tensors) == sorted(
        f"decoder.{n}" for n in trained.weights.outline
    )
    assert all(len(tensors) == 1 or sum(t.nbytes for t in tensors.values()) <= 40_000 for tensors in read)
    assert 1 < len(read) < len(trained.weights.outline)
