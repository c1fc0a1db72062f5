"""The layout of Hugging Face's Llama and OLMoE, whose names ours are, and of what follows them.

On the disk OLMoE's experts have a tensor each; in memory, and in our own files, they are stacked. That the paper's
released models may look so too, with the coefficients below ``mlp.act_fn`` or ``mlp.activation_func``, is a guess.
"""

from collections.abc import Iterator
from typing import Any

from repro.interop.importing.layouts import Layout, Part, Shapes, activation, each, each_gated, known, layers, same
from repro.recipe import Recipe
from repro.recipe.schema import DecoderRecipe

_ACTIVATIONS = ("act_fn", "activation_func", "act")


def _parts(recipe: Recipe, ours: Shapes, theirs: Shapes) -> list[Part]:
    assert isinstance(recipe, DecoderRecipe)
    inner = [f"layers.{i}.mlp." for i in range(recipe.model.n_layers)]
    apart = [part for mlp in inner for part in (*_experts(mlp, ours, theirs), *_activation(mlp, ours, theirs))]
    done = {name for part in apart for name in part.ours}
    return [*(same(name) for name in ours if name not in done), *apart]


def _experts(mlp: str, ours: Shapes, theirs: Shapes) -> Iterator[Part]:
    """Of a mixture whose experts have a tensor each; stacked ones are ours as they are."""
    if f"{mlp}gate.weight" not in ours or f"{mlp}experts.down_proj" in theirs:
        return
    experts = range(ours[f"{mlp}gate.weight"][0])
    gates, ups, downs = (
        tuple(f"{mlp}experts.{i}.{name}_proj.weight" for i in experts) for name in ("gate", "up", "down")
    )
    if f"{mlp}experts.gate_up_proj" in ours:
        yield Part((f"{mlp}experts.gate_up_proj",), gates + ups, each_gated(len(experts)))
    else:
        yield Part((f"{mlp}experts.up_proj",), ups, each(len(experts)))
    yield Part((f"{mlp}experts.down_proj",), downs, each(len(experts)))


def _activation(mlp: str, ours: Shapes, theirs: Shapes) -> Iterator[Part]:
    here = f"{mlp}experts.act_fn." if f"{mlp}gate.weight" in ours else f"{mlp}act_fn."
    places = [f"{mlp}{within}{name}." for within in ("", "experts.") for name in _ACTIVATIONS]
    there = next((place for place in places if any(name.startswith(place) for name in theirs)), here)
    yield from activation(ours, here, there, theirs)


def _sizes(theirs: Shapes) -> dict[str, Any]:
    sizes = {
        "model.vocab_size": ("embed_tokens.weight", 0),
        "model.d_model": ("embed_tokens.weight", 1),
        "model.experts": ("layers.0.mlp.gate.weight", 0),
    }
    widths = ("mlp.down_proj.weight", "mlp.experts.0.down_proj.weight", "mlp.experts.down_proj")
    width = [theirs[f"layers.0.{name}"][-1] for name in widths if theirs.get(f"layers.0.{name}")]
    found = known(sizes, theirs) | {"model.n_layers": layers(theirs, r"layers\.(\d+)\.")}
    return found | ({"model.d_ff": width[0]} if width else {})


HUGGING_FACE = Layout(
    name="Hugging Face",
    anchor="layers.0.self_attn.q_proj.weight",
    embedding="embed_tokens.weight",
    head="lm_head.weight",
    recipe=DecoderRecipe,
    parts=_parts,
    sizes=_sizes,
)
