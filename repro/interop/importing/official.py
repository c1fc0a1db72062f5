"""The layouts of the paper's own code. How the released checkpoints lie on the hub is not known: these are read from
the code that trained them, and what they are is found by names and shapes.

Read: ``dense_model/megatron_patch/model/llama2/transformer.py`` and ``moe_model/olmo/model.py`` of the official
repository. Not in what was read, and so from what is known of Megatron-LM 23.07 and megablocks: the names of the dense
model's embedding and head, and the experts' ``w1`` (the gate, of a gated one), ``v1`` and ``w2``.
"""

from typing import Any

from repro.errors import RunError
from repro.interop.importing.layouts import (
    Layout,
    Part,
    Shapes,
    activation,
    heads,
    known,
    layers,
    rows,
    same,
    stacked,
    stacked_down,
    stacked_gated,
)
from repro.recipe import Recipe
from repro.recipe.schema import DecoderRecipe

QKV = ("q_proj.weight", "k_proj.weight", "v_proj.weight")


def _megatron(recipe: Recipe, ours: Shapes, theirs: Shapes) -> list[Part]:
    assert isinstance(recipe, DecoderRecipe)
    if rank := recipe.model.ffn_rank:
        raise RunError(f"ffn_rank={rank}: the official dense layout has whole FFN matrices; import it without ffn_rank")
    parts = [
        same("embed_tokens.weight", "embedding.word_embeddings.weight"),
        same("norm.weight", "encoder.final_norm.weight"),
        same("lm_head.weight", "output_layer.weight"),
    ]
    for i in range(recipe.model.n_layers):
        parts += _megatron_layer(f"layers.{i}.", f"encoder.layers.{i}.", recipe.model.n_heads, ours, theirs)
    return parts


def _megatron_layer(here: str, there: str, n_heads: int, ours: Shapes, theirs: Shapes) -> list[Part]:
    up = "mlp.dense_h_to_4h.weight"  # of a gated FFN the gate, then what it lets through
    gated = f"{here}mlp.gate_proj.weight" in ours
    first = (f"{here}mlp.gate_proj.weight", f"{here}mlp.up_proj.weight")
    qkv = tuple(f"{here}self_attn.{name}" for name in QKV)
    return [
        same(f"{here}input_layernorm.weight", f"{there}input_norm.weight"),
        Part(qkv, (f"{there}self_attention.query_key_value.weight",), heads(n_heads)),
        same(f"{here}self_attn.o_proj.weight", f"{there}self_attention.dense.weight"),
        same(f"{here}post_attention_layernorm.weight", f"{there}post_attention_norm.weight"),
        Part(first, (there + up,), rows(2)) if gated else same(f"{here}mlp.up_proj.weight", there + up),
        same(f"{here}mlp.down_proj.weight", f"{there}mlp.dense_4h_to_h.weight"),
        *activation(ours, f"{here}mlp.act_fn.", f"{there}mlp.activation_func.", theirs),
    ]


def _megatron_sizes(theirs: Shapes) -> dict[str, Any]:
    sizes = {
        "model.vocab_size": ("embedding.word_embeddings.weight", 0),
        "model.d_model": ("embedding.word_embeddings.weight", 1),
        "model.d_ff": ("encoder.layers.0.mlp.dense_4h_to_h.weight", 1),
    }
    return known(sizes, theirs) | {"model.n_layers": layers(theirs, r"encoder\.layers\.(\d+)\.")}


def _olmo(recipe: Recipe, ours: Shapes, theirs: Shapes) -> list[Part]:
    assert isinstance(recipe, DecoderRecipe)
    parts = [
        same("embed_tokens.weight", "wte.weight"),
        same("norm.weight", "ln_f.weight"),
        same("lm_head.weight", "ff_out.weight"),
    ]
    for i in range(recipe.model.n_layers):
        parts += _olmo_layer(f"layers.{i}.", f"blocks.{i}.", ours, theirs)
    return parts


def _olmo_layer(here: str, there: str, ours: Shapes, theirs: Shapes) -> list[Part]:
    norms = [f"{name}_norm.weight" for name in "qk" if f"{here}self_attn.{name}_norm.weight" in ours]
    return [
        same(f"{here}input_layernorm.weight", f"{there}attn_norm.weight"),
        Part(tuple(f"{here}self_attn.{name}" for name in QKV), (f"{there}att_proj.weight",), rows(3)),
        *(same(f"{here}self_attn.{name}", f"{there}{name}") for name in norms),
        same(f"{here}self_attn.o_proj.weight", f"{there}attn_out.weight"),
        same(f"{here}post_attention_layernorm.weight", f"{there}ff_norm.weight"),
        *_olmo_experts(f"{here}mlp.", f"{there}ffn.", ours),
        *activation(ours, f"{here}mlp.experts.act_fn.", f"{there}act.", theirs),
    ]


def _olmo_experts(here: str, there: str, ours: Shapes) -> list[Part]:
    """Of a mixture; a dense recipe has none, and what is there is left over."""
    if f"{here}gate.weight" not in ours:
        return []
    experts = ours[f"{here}gate.weight"][0]
    w1, v1, w2 = (f"{there}experts.mlp.{name}" for name in ("w1", "v1", "w2"))
    gated, plain = f"{here}experts.gate_up_proj", f"{here}experts.up_proj"
    return [
        same(f"{here}gate.weight", f"{there}router.layer.weight"),
        Part((gated,), (w1, v1), stacked_gated(experts)) if gated in ours else Part((plain,), (w1,), stacked(experts)),
        Part((f"{here}experts.down_proj",), (w2,), stacked_down(experts)),
    ]


def _olmo_sizes(theirs: Shapes) -> dict[str, Any]:
    sizes = known(
        {
            "model.vocab_size": ("wte.weight", 0),
            "model.d_model": ("wte.weight", 1),
            "model.experts": ("blocks.0.ffn.router.layer.weight", 0),
            "model.d_ff": ("blocks.0.ffn.experts.mlp.w1", 0),  # of all experts
        },
        theirs,
    )
    if "model.d_ff" in sizes and sizes.get("model.experts"):
        sizes["model.d_ff"] //= sizes["model.experts"]
    return sizes | {"model.n_layers": layers(theirs, r"blocks\.(\d+)\.")}


MEGATRON = Layout(
    name="Megatron",
    anchor="encoder.layers.0.self_attention.query_key_value.weight",
    embedding="embedding.word_embeddings.weight",
    head="output_layer.weight",
    recipe=DecoderRecipe,
    parts=_megatron,
    sizes=_megatron_sizes,
)
OLMO = Layout(
    name="OLMo",
    anchor="blocks.0.att_proj.weight",
    embedding="wte.weight",
    head="ff_out.weight",
    recipe=DecoderRecipe,
    parts=_olmo,
    sizes=_olmo_sizes,
)
