"""How others lay the weights of a model out: which of their tensors become which of ours, and by what conversion."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from repro.recipe import Recipe

Shape = tuple[int, ...]
Shapes = dict[str, Shape]

# What wrappers of a model write before its names: DDP, torch.compile, FSDP 1, Hugging Face, OLMo, Megatron.
_WRAPPERS = re.compile(r"^(?:(?:module|model|language_model|transformer|_orig_mod|_fsdp_wrapped_module)\.)+")
COEFF = "coeff"


@dataclass(frozen=True)
class Conversion:
    """How some of their tensors become some of ours.

    Attributes:
        shapes: theirs, from ours.
        tensors: ours, from theirs.
    """

    shapes: Callable[[list[Shape]], Sequence[Shape]]
    tensors: Callable[[list[Tensor]], list[Tensor]]


@dataclass(frozen=True)
class Part:
    """Some of our tensors, made of some of theirs; names of both."""

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    by: Conversion


@dataclass(frozen=True)
class Layout:
    """One of others.

    Attributes:
        name: whose, for a person.
        anchor: a tensor that it has and no other layout.
        embedding: its name there, and
        head: of the head, which may be tied to it; both empty where there is none.
        recipe: the kind of recipe whose models it holds.
        parts: what becomes of its tensors, for a recipe, the shapes of ours and the shapes of theirs.
        sizes: values of the recipe that the shapes of theirs tell, by dotted key; ``model.d_ff`` is the width of an FFN
            or an expert.
    """

    name: str
    anchor: str
    embedding: str
    head: str
    recipe: type[Recipe]
    parts: Callable[[Recipe, Shapes, Shapes], list[Part]]
    sizes: Callable[[Shapes], dict[str, Any]]


def bare(name: str) -> str:
    """A tensor's name without what wrappers of the model put before it."""
    return _WRAPPERS.sub("", name)


def same(ours: str, theirs: str = "") -> Part:
    """A tensor that is ours as it is."""
    return Part((ours,), (theirs or ours,), SAME)


def activation(ours: Shapes, here: str, there: str, theirs: Shapes) -> Iterator[Part]:
    """What an activation learns, below ``here`` and below ``there``: coefficients as ours, or in the official layout,
    ``weight`` with the highest power first and ``bias`` apart. Those of experts of their own are ours alone.
    """
    for name in ours:
        if name.startswith(here):
            last = name.removeprefix(here)
            if last == COEFF and there + COEFF not in theirs and len(ours[name]) == 1:
                yield Part((name,), (f"{there}weight", f"{there}bias"), DESCENDING)
            else:
                yield same(name, there + last)


def layers(theirs: Shapes, pattern: str) -> int:
    """How many there are, by the numbers that ``pattern`` finds: never more than tensors."""
    return len({match[1] for name in theirs if (match := re.match(pattern, name))})


def known(sizes: dict[str, tuple[str, int]], theirs: Shapes) -> dict[str, int]:
    """Those of ``sizes``, each a dimension of a tensor, whose tensor is there."""
    return {key: theirs[name][at] for key, (name, at) in sizes.items() if at < len(theirs.get(name, ()))}


SAME = Conversion(shapes=list, tensors=list)

DESCENDING = Conversion(
    shapes=lambda ours: [(ours[0][0] - 1,), (1,)],
    tensors=lambda theirs: [torch.cat([theirs[1], theirs[0].flip(0)])],
)


def rows(n: int) -> Conversion:
    """``n`` matrices of one size, one below the other."""
    return Conversion(
        shapes=lambda ours: [(n * ours[0][0], *ours[0][1:])],
        tensors=lambda theirs: list(theirs[0].chunk(n)),
    )


def heads(n: int) -> Conversion:
    """Queries, keys and values of a head, then those of the next: rows ``(heads, 3, head_dim)`` of one matrix."""
    return Conversion(
        shapes=lambda ours: [(3 * ours[0][0], ours[0][1])],
        tensors=lambda theirs: [one.flatten(0, 1) for one in theirs[0].unflatten(0, (n, 3, -1)).unbind(1)],
    )


def stacked(experts: int) -> Conversion:
    """Matrices of ``experts``, ``(width, d_model)`` each, one below the other."""
    return Conversion(
        shapes=lambda ours: [(ours[0][0] * ours[0][1], ours[0][2])],
        tensors=lambda theirs: [theirs[0].unflatten(0, (experts, -1))],
    )


def stacked_gated(experts: int) -> Conversion:
    """As :func:`stacked`, gates and what they let through, each in a matrix of its own."""
    return Conversion(
        shapes=lambda ours: 2 * [(ours[0][0] * ours[0][1] // 2, ours[0][2])],
        tensors=lambda theirs: [torch.cat([one.unflatten(0, (experts, -1)) for one in theirs], dim=1)],
    )


def stacked_down(experts: int) -> Conversion:
    """As :func:`stacked`, of matrices that are multiplied from the right, ``h @ w``: ours are their transposes."""
    return Conversion(
        shapes=lambda ours: [(ours[0][0] * ours[0][2], ours[0][1])],
        tensors=lambda theirs: [theirs[0].unflatten(0, (experts, -1)).transpose(1, 2)],
    )


def each(experts: int) -> Conversion:
    """A tensor for each expert."""
    return Conversion(shapes=lambda ours: experts * [ours[0][1:]], tensors=lambda theirs: [torch.stack(theirs)])


def each_gated(experts: int) -> Conversion:
    """A gate for each expert, then what it lets through for each."""
    return Conversion(
        shapes=lambda ours: 2 * experts * [(ours[0][1] // 2, ours[0][2])],
        tensors=lambda theirs: [torch.cat([torch.stack(theirs[:experts]), torch.stack(theirs[experts:])], dim=1)],
    )
