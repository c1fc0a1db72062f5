"""Whether the tensors of others make a recipe's model, each with its shape and none left over; and making it."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from repro import models
from repro.data.progress import Progress, silent
from repro.errors import RecipeError, ReproError, RunError
from repro.interop.importing.configuration import ACTIVATION, CONTEXT, Told
from repro.interop.importing.folding import folded
from repro.interop.importing.layouts import Layout, Part, Shape, Shapes
from repro.interop.importing.stored import Checkpoint, Stored
from repro.recipe import Recipe
from repro.recipe.checking import checked
from repro.recipe.schema import Architecture, LanguageRecipe
from repro.recipe.table import rows

_UNSEEN = ("n_heads", "top_k", "rope_theta", "norm_eps")  # what no shape shows
_FREQUENCIES = "rotary_emb.inv_freq"  # follow from other numbers, and are in old files
_COUNTS = "num_batches_tracked"  # whole numbers on purpose
_SEQUENCES = ("budget.tokens_per_step", "validation.tokens")  # hold whole ones


@dataclass(frozen=True)
class Fitted:
    """A checkpoint of others that holds a recipe's model and nothing else.

    Attributes:
        tensors: of it, by the layout's names.
        parts: of the model, that they are put together by.
        notes: what a person should know of how it was read.
    """

    tensors: dict[str, Stored]
    parts: list[Part]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, checkpoint: Checkpoint, layout: Layout, told: Told, recipe: Recipe) -> Self:
        """What there is, held against the recipe; no number of a weight is read but of a head that should be tied.

        Raises:
            RunError: shapes or settings differ, or tensors are missing or left over.
        """
        tensors, tied = _tied(checkpoint, layout, told)
        _check_frequencies(checkpoint, recipe)
        ours, theirs = shapes(recipe.model), {name: stored.shape for name, stored in tensors.items()}
        parts = layout.parts(recipe, ours, theirs)
        if wrong := _misfit(tensors, _wanted(parts, ours)):
            wrong = f"{checkpoint.path} does not fit {recipe.name}: {wrong}"
        if wrong := wrong or _differs(checkpoint, told, recipe):
            raise RunError(f"{wrong}{_way_out(layout, theirs, told, recipe)}")
        notes = ["its head is its embedding, and is written out"] if tied else []
        notes += [f"the code that it names ({told.code}) was not run"] if told.code else []
        return cls(tensors, parts, (*notes, *_other_context(told, recipe), *_trusted(told, recipe, ours)))

    @property
    def size(self) -> int:
        """Of its tensors, in numbers."""
        return sum(torch.Size(stored.shape).numel() for stored in self.tensors.values())

    def read(self, progress: Progress = silent) -> dict[str, Tensor]:
        """Our tensors, in float32 as a run's: what is stored in 16 bits is exact there."""
        made: dict[str, Tensor] = {}
        for done, part in enumerate(self.parts):
            progress("tensors read", done, len(self.parts))
            found = part.by.tensors([self.tensors[one].read() for one in part.theirs])
            made |= {name: _ours(tensor) for name, tensor in zip(part.ours, found, strict=True)}
        return made


def shapes(model: Architecture) -> Shapes:
    """Of the tensors of a recipe's network, by name."""
    with torch.device("meta"):
        network = models.from_recipe(model)
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _tied(checkpoint: Checkpoint, layout: Layout, told: Told) -> tuple[dict[str, Stored], bool]:
    """The tensors, without those that follow from others, and whether the embedding stands in for a head there."""
    tensors = {name: one for name, one in checkpoint.tensors.items() if not name.endswith(_FREQUENCIES)}
    if not told.tied or layout.embedding not in tensors:
        return tensors, False
    if (head := tensors.get(layout.head)) and not _equal_numbers(head, tensors[layout.embedding]):
        raise RunError(
            f"{checkpoint.path}: {told.where} says that its head is its embedding, and {head.called} holds other "
            "numbers; which of the two was trained cannot be told"
        )
    return tensors | {layout.head: tensors[layout.embedding]}, head is None


def _equal_numbers(one: Stored, other: Stored) -> bool:
    return one.shape == other.shape and torch.equal(_ours(one.read()), _ours(other.read()))


def _way_out(layout: Layout, theirs: Shapes, told: Told, recipe: Recipe) -> str:
    """The name and the settings of a recipe that it fits, if there is one and it is not this one."""
    activation = told.values.get(ACTIVATION, recipe.model.activation)
    values = _of_model(told) | _as_d_ff(layout.sizes(theirs), gated=rows()[activation].gated)
    differing = _differing(recipe, values)
    try:
        other = _with(recipe, differing)
        ours = shapes(other.model)
        fits = theirs == _wanted(layout.parts(other, ours, theirs), ours)
    except (ReproError, RuntimeError):  # sizes of no model at all
        fits = False
    words = [f"{key}={_word(value)}" for key, value in differing.items() if key != ACTIVATION]
    name = f"{recipe.family}-{recipe.scale}-{activation} " if ACTIVATION in differing else ""
    return f"; it fits {name}{'with ' if words else ''}{' '.join(words)}".rstrip() if fits and differing else ""


def _with(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with other ``values``, by dotted key.

    Raises:
        RecipeError: there is no such model.
    """
    tree = recipe.model_dump()
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        tree[section][name] = value
    tree["name"] = f"{recipe.family}-{recipe.scale}-{tree['model']['activation']}"
    return checked(type(recipe), tree, recipe.name)


def _of_model(told: Told) -> dict[str, Any]:
    return {key: value for key, value in told.values.items() if key != CONTEXT}


def _other_context(told: Told, recipe: Recipe) -> Iterator[str]:
    """That its context is not the recipe's, if it says so, and what would make it that."""
    theirs, ours = told.values.get(CONTEXT), recipe.data.context if isinstance(recipe, LanguageRecipe) else None
    if theirs is None or ours is None or theirs == ours:
        return
    wider = {CONTEXT: theirs}
    tried = (wider, {**wider, **dict.fromkeys(_SEQUENCES, theirs)})
    values = next((values for values in tried if _is_one(recipe, values)), wider)
    words = " ".join(f"{key}={value}" for key, value in values.items())
    yield (
        f"{told.where} says that it sees {theirs:,} tokens, and the recipe says {ours:,}, which is what evaluation and "
        f"exports go by; {words} takes its own"
    )


def _is_one(recipe: Recipe, values: Mapping[str, Any]) -> bool:
    try:
        _with(recipe, values)
    except RecipeError:
        return False
    return True


def _differing(recipe: Recipe, told: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``told``, values by dotted key, that are not the recipe's."""
    held = {key: getattr(recipe.model, key.rpartition(".")[2], None) for key in told}
    return {key: value for key, value in told.items() if held[key] is not None and not _equal(held[key], value)}


def _equal(ours: Any, theirs: Any) -> bool:
    """Two values, or two names of activations that are one."""
    if ours in rows() and theirs in rows():
        one, other = rows()[ours], rows()[theirs]
        return (one.builds, one.options) == (other.builds, other.options)
    return bool(ours == theirs)


def _as_d_ff(sizes: Mapping[str, Any], *, gated: bool) -> dict[str, Any]:
    """``sizes`` with the ``d_ff`` that gives an FFN of the width that they hold."""
    width = sizes.get("model.d_ff")
    return {**sizes, "model.d_ff": width * 3 // 2} if gated and width else dict(sizes)


def _word(value: Any) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


def _wanted(parts: Collection[Part], ours: Shapes) -> Shapes:
    """All that a model is made of, in a layout."""
    each = (zip(part.theirs, part.by.shapes([ours[one] for one in part.ours]), strict=True) for part in parts)
    return {name: shape for part in each for name, shape in part}


def _misfit(tensors: Mapping[str, Stored], wanted: Shapes) -> str:
    """What is missing, left over, of another shape or of whole numbers; nothing if all is as it should be."""
    missing = [one for one in wanted if one not in tensors]
    left = [stored.called for one, stored in tensors.items() if one not in wanted]
    if missing or left:
        kinds = ((missing, "missing"), (left, "left over"))
        return " and ".join(_listed(names, what) for names, what in kinds if names)
    for one, shape in wanted.items():
        if tensors[one].shape != shape:
            return f"{tensors[one].called} is {_spelt(tensors[one].shape)}, expected {_spelt(shape)}"
    odd = [tensors[one].called for one in wanted if not (tensors[one].is_real or one.endswith(_COUNTS))]
    return f"{odd[0]} holds whole numbers, as quantised weights do; expected real ones" if odd else ""


def _differs(checkpoint: Checkpoint, told: Told, recipe: Recipe) -> str:
    """The first setting that is not the recipe's; nothing if all are."""
    for key, value in _differing(recipe, _of_model(told)).items():
        held = getattr(recipe.model, key.rpartition(".")[2])
        return f"{checkpoint.path}: {told.where} says {key}={value} where {recipe.name} has {held}"
    return ""


def _check_frequencies(checkpoint: Checkpoint, recipe: Recipe) -> None:
    """Refuse rotary positions of another base or width of head, where a file holds what follows from them."""
    stored = next((one for name, one in checkpoint.tensors.items() if name.endswith(_FREQUENCIES)), None)
    n_heads, theta = (getattr(recipe.model, key, None) for key in ("n_heads", "rope_theta"))
    if stored is None or n_heads is None or theta is None:
        return
    found, n = stored.read().float(), getattr(recipe.model, "d_model", 0) // n_heads // 2
    expected = theta ** (-torch.arange(n) / n)
    if found.shape != expected.shape or not torch.allclose(found, expected, rtol=0.01):  # it may be of 16 bits
        raise RunError(
            f"{checkpoint.path}: {stored.called} is not what rope_theta={theta:g} and {n_heads} heads of {2 * n} give"
        )


def _trusted(told: Told, recipe: Recipe, ours: Shapes) -> Iterator[str]:
    """What neither shapes nor settings show, and is taken to be as the recipe has it."""
    unseen = {name: getattr(recipe.model, name, None) for name in _UNSEEN if f"model.{name}" not in told.values}
    words = [f"{name}={value}" for name, value in unseen.items() if value is not None]
    if ACTIVATION not in told.values and not any(".act_fn." in name or name.startswith("act") for name in ours):
        words.append(f"activation={recipe.model.activation}")
    if words:
        yield f"nothing in it says so, and the recipe has it: {', '.join(words)}"


def _ours(tensor: Tensor) -> Tensor:
    """A tensor with memory of its own, whatever file or other tensor it was a view of."""
    kind = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return torch.empty(tensor.shape, dtype=kind).copy_(tensor)


def _spelt(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))})"


def _listed(names: list[str], what: str) -> str:
    return f"{len(names)} tensor{'s are' if len(names) > 1 else ' is'} {what} ({', '.join(folded(names))})"
