"""What a checkpoint of others says of itself beside its tensors: the numbers of a model that no shape tells, and what
our models cannot be.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from repro.errors import RunError
from repro.interop.importing.stored import Checkpoint
from repro.recipe.table import rows

HF, OLMO = "config.json", "config.yaml"
STOCK = ("llama", "olmoe")  # Hugging Face's own that are ours too
ACTIVATION, CONTEXT = "model.activation", "data.context"
_WHOLE = {"model.n_heads", "model.top_k", CONTEXT}
_GROUPED = (
    "{} says {} heads of queries share {} of keys and values; the models here have as many of the one as of the other"
)

# What is known of each, by its word for it; then what ours are, where None is what is not said.
_HF_KEYS = {
    "num_attention_heads": "model.n_heads",
    "rms_norm_eps": "model.norm_eps",
    "rope_theta": "model.rope_theta",
    "num_experts_per_tok": "model.top_k",
    "max_position_embeddings": CONTEXT,
}
_HF_FIXED = {"attention_bias": False, "mlp_bias": False, "clip_qkv": None, "norm_topk_prob": False}
_OLMO_KEYS = {
    "n_heads": "model.n_heads",
    "layer_norm_eps": "model.norm_eps",
    "rope_theta": "model.rope_theta",
    "moe_top_k": "model.top_k",
    "max_sequence_length": CONTEXT,
}
_OLMO_FIXED = {
    "include_bias": False,
    "clip_qkv": None,
    "norm_after": False,
    "alibi": False,
    "rope": True,
    "layer_norm_type": "rms",
    "block_type": "moe",
    "moe_normalize_expert_weights": False,
    "embedding_layer_norm": False,
    "moe_interleave": False,
    "multi_query_attention": False,
}
_MEGATRON_KEYS = {
    "num_attention_heads": "model.n_heads",
    "norm_epsilon": "model.norm_eps",
    "rotary_base": "model.rope_theta",
    "max_position_embeddings": CONTEXT,
}
_MEGATRON_FIXED = {
    "tensor_model_parallel_size": 1,
    "pipeline_model_parallel_size": 1,
    "add_bias_linear": False,
    "rotary_percent": 1.0,
    "apply_layernorm_1p": False,
    "num_experts": None,
}
_MEGATRON_FLAGS = {"swiglu": "swiglu", "squared_relu": "relu2", "polynorm": "polynorm", "polyrelu": "polyrelu"}


@dataclass(frozen=True)
class Told:
    """What there was to read.

    Attributes:
        where: the file that says so.
        values: of the recipe, by dotted key.
        tied: whether the head is the embedding.
        code: the author's own, which the model would be run by.
        kind: of model, as Hugging Face names it.
    """

    where: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    tied: bool = False
    code: str = ""
    kind: str = ""


def of(checkpoint: Checkpoint) -> Told:
    """From Megatron's arguments in the file, or from ``config.json`` or OLMo's ``config.yaml`` beside it.

    Raises:
        RunError: one cannot be read, or says what our models cannot be.
    """
    if "args" in checkpoint.beside:
        args, where = checkpoint.beside["args"], f"{checkpoint.files[0].name} (args)"
        return _megatron(_settings(vars(args) if isinstance(args, argparse.Namespace) else args, where), where)
    folder = checkpoint.files[0].parent
    if (folder / HF).is_file():
        return _hugging_face(_read(folder / HF), HF)
    if (folder / OLMO).is_file():
        return _olmo(_settings(_read(folder / OLMO).get("model"), f"{OLMO} (model)"), OLMO)
    return Told()


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(path.read_text()) if path.suffix == ".json" else yaml.safe_load(path.read_text())
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise RunError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    return _settings(tree, str(path))


def _settings(found: Any, where: str) -> dict[str, Any]:
    """Keys and values, none where nothing is said."""
    if not isinstance(found, dict | None):
        raise RunError(f"{where} holds {found!r:.40}; expected keys and values")
    return found or {}


def _hugging_face(config: Mapping[str, Any], where: str) -> Told:
    _refuse(config, where, _HF_FIXED)
    _refuse_grouped(where, config.get("num_attention_heads"), config.get("num_key_value_heads"))
    _refuse_wide_heads(config, where)
    named = next((key for key in ("rope_parameters", "rope_scaling") if config.get(key)), "rope_parameters")
    rope = _settings(config.get(named), f"{where} ({named})")
    _refuse({"rope_type": rope.get("rope_type", rope.get("type"))}, where, {"rope_type": "default"})
    values = _known({**config, **rope}, where, _HF_KEYS) | _activation(config, where)
    code = next(iter(_settings(config.get("auto_map"), f"{where} (auto_map)").values()), "")
    return Told(where, values, bool(config.get("tie_word_embeddings")), str(code), str(config.get("model_type", "")))


def _activation(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Of a stock model, whose FFN is always gated, and of our own exports; others say nothing that is known."""
    if config.get("model_type") in STOCK:
        options = {"rho": config.get("hidden_act", "silu")}
        if found := _row("Gated", options):
            return found
        raise RunError(f"{where} says hidden_act={options['rho']!r}, and no gated activation here is made of that")
    return _row(config.get("activation"), config.get("activation_options"))


def _row(builds: Any, options: Any) -> dict[str, Any]:
    """The first activation of the table that is made so, if there is one."""
    names = [name for name, row in rows().items() if (row.builds, row.options) == (builds, options)]
    return {ACTIVATION: names[0]} if names else {}


def _olmo(config: Mapping[str, Any], where: str) -> Told:
    _refuse(config, where, _OLMO_FIXED)
    _refuse_grouped(where, config.get("n_heads"), config.get("n_kv_heads"))
    name = config.get("activation_type")
    if name is not None and str(name) not in rows():
        raise RunError(f"{where} says activation_type={name!r}, and no activation here is called that")
    values = _known(config, where, _OLMO_KEYS) | ({ACTIVATION: str(name)} if name is not None else {})
    return Told(where, values, bool(config.get("weight_tying")))


def _megatron(args: Mapping[str, Any], where: str) -> Told:
    _refuse(args, where, _MEGATRON_FIXED)
    if args.get("group_query_attention"):
        _refuse_grouped(where, args.get("num_attention_heads"), args.get("num_query_groups"))
    named = [activation for flag, activation in _MEGATRON_FLAGS.items() if args.get(flag)]
    activation = {ACTIVATION: named[0] if named else "gelu"} if "swiglu" in args else {}
    values = _known(args, where, _MEGATRON_KEYS) | activation
    return Told(where, values, args.get("untie_embeddings_and_output_weights") is False)


def _known(config: Mapping[str, Any], where: str, keys: Mapping[str, str]) -> dict[str, Any]:
    said = {ours: theirs for theirs, ours in keys.items() if config.get(theirs) is not None}
    return {ours: _number(config, theirs, where, whole=ours in _WHOLE) for ours, theirs in said.items()}


def _number(config: Mapping[str, Any], key: str, where: str, *, whole: bool) -> int | float:
    """A number above 0, which may be spelt ``1e-05``, in which YAML 1.1 sees a word."""
    value, kind = config[key], "whole number" if whole else "number"
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        number = 0.0
    if not 0 < number < float("inf") or (whole and number != int(number)):
        raise RunError(f"{where} says {key}={value!r:.40}; expected a {kind} above 0")
    return int(number) if whole else number


def _refuse(config: Mapping[str, Any], where: str, expected: Mapping[str, Any]) -> None:
    """Refuse what is there and is not as our models are; None stands for what is not said."""
    for key, value in expected.items():
        found = config.get(key)
        if found not in (None, value):
            raise RunError(f"{where} says {key}={found!r}, and the models here know nothing but {value!r}")


def _refuse_grouped(where: str, queries: Any, keys: Any) -> None:
    if keys is not None and keys != queries:
        raise RunError(_GROUPED.format(where, queries, keys))


def _refuse_wide_heads(config: Mapping[str, Any], where: str) -> None:
    keys = ("hidden_size", "num_attention_heads", "head_dim")
    if any(config.get(key) is None for key in keys):
        return
    width, n_heads, head_dim = (int(_number(config, key, where, whole=True)) for key in keys)
    if head_dim * n_heads != width:
        raise RunError(
            f"{where} says head_dim={head_dim}; the models here have hidden_size / heads, {width // n_heads}"
        )
