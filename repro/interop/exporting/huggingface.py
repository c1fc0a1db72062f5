"""How Hugging Face's transformers lays a decoder out: its class, its configuration, the names of its tensors.

A gated linear unit is one that transformers has: in Llama, or in OLMoE as a mixture of experts. What else there is
comes with its code, :mod:`repro.interop.exporting.remote`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from repro.interop.exporting.pieces import Piece
from repro.recipe.families import MoEModel, MoERecipe
from repro.recipe.parameters import ffn_width
from repro.recipe.schema import DecoderRecipe, Model
from repro.recipe.table import Row, rows
from repro.training.trained import Weights

CODE = Path(__file__).parent / "remote"
CODE_FILES = ("activations_polycom.py", "configuration_polycom.py", "modeling_polycom.py")
CLASSES = {
    ("dense", True): ("llama", "LlamaForCausalLM"),
    ("moe", True): ("olmoe", "OlmoeForCausalLM"),
    ("dense", False): ("polycom", "PolyComForCausalLM"),
    ("moe", False): ("polycom_moe", "PolyComMoEForCausalLM"),
}


def is_stock(model: Model) -> bool:
    """Whether transformers has the model itself; its OLMoE always normalises queries and keys."""
    return _row(model).builds == "Gated" and getattr(model, "qk_norm", True)


def config(recipe: DecoderRecipe, ends: Mapping[str, int]) -> dict[str, Any]:
    """The ``config.json``; ``ends`` are ``bos_token_id`` and ``eos_token_id``."""
    model = recipe.model
    model_type, name = CLASSES[recipe.family, is_stock(model)]
    return {
        "architectures": [name],
        "model_type": model_type,
        **({"hidden_act": _row(model).options["rho"]} if is_stock(model) else _own_code(model, name)),
        **_shape(model),
        **(_mixture(recipe) if isinstance(recipe, MoERecipe) else {"mlp_bias": False}),
        "max_position_embeddings": recipe.data.context,
        **ends,
        "pad_token_id": None,  # or the embedding of the end of a document would have no gradient
        "dtype": "float32",
        "use_cache": True,
    }


def _own_code(model: Model, name: str) -> dict[str, Any]:
    row, kind = _row(model), name.removesuffix("ForCausalLM")
    described: dict[str, Any] = {"activation": row.builds, "activation_options": row.options, "gated": row.gated}
    if isinstance(model, MoEModel):
        described |= {"per_expert": model.coefficients == "expert", "qk_norm": model.qk_norm}
    return described | {
        "auto_map": {
            "AutoConfig": f"configuration_polycom.{kind}Config",
            "AutoModel": f"modeling_polycom.{kind}Model",
            "AutoModelForCausalLM": f"modeling_polycom.{name}",
        }
    }


def _shape(model: Model) -> dict[str, Any]:
    return {
        "vocab_size": model.vocab_size,
        "hidden_size": model.d_model,
        "intermediate_size": ffn_width(model),
        "num_hidden_layers": model.n_layers,
        "num_attention_heads": model.n_heads,
        "num_key_value_heads": model.n_heads,
        "rms_norm_eps": model.norm_eps,
        "rope_theta": model.rope_theta,  # for who reads configurations as transformers 4 writes them
        "rope_parameters": {"rope_type": "default", "rope_theta": model.rope_theta},
        "attention_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": False,
    }


def _mixture(recipe: MoERecipe) -> dict[str, Any]:
    return {
        "num_experts": recipe.model.experts,
        "num_experts_per_tok": recipe.model.top_k,
        "norm_topk_prob": False,
        "clip_qkv": None,
        "output_router_logits": False,
        "router_aux_loss_coef": recipe.balance.load_balancing,
    }


def pieces(model: Model, weights: Weights) -> list[Piece]:
    """The tensors, by the names of files on the hub, in the order of the checkpoint; products of factors as they are
    multiplied out, since transformers has whole matrices.
    """
    return [piece for source in weights.outline for piece in _named(model, weights, source)]


def _named(model: Model, weights: Weights, source: str) -> Iterator[Piece]:
    name = source if source.startswith("lm_head.") else f"model.{source}"
    if name.endswith(".right.weight"):
        return
    if name.endswith(".left.weight"):
        matrix, right = name.replace(".left.", "."), source.replace(".left.", ".right.")
        yield Piece.product(weights, matrix, source, right)
        return
    above, _, last = name.rpartition(".")
    if not is_stock(model) or not above.endswith(".experts"):
        yield Piece.of(weights, name, source)
        return
    for expert in range(weights.outline[source].shape[0]):  # transformers itself stacks them only when it loads them
        if last == "gate_up_proj":
            width = ffn_width(model)
            yield Piece.of(weights, f"{above}.{expert}.gate_proj.weight", source, (expert, slice(width)))
            yield Piece.of(weights, f"{above}.{expert}.up_proj.weight", source, (expert, slice(width, None)))
        else:
            yield Piece.of(weights, f"{above}.{expert}.{last}.weight", source, (expert,))


def _row(model: Model) -> Row:
    return rows()[model.activation]
