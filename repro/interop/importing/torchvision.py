"""The layout of torchvision's ResNets of bottleneck blocks, whose names ours are. Their activation is ReLU,
and has no tensors; ours of a learned one are below ``act1`` to ``act3``.
"""

import re
from collections.abc import Collection
from typing import Any

import torch

from repro.interop.importing.configuration import Told
from repro.interop.importing.layouts import Conversion, Layout, Part, Shapes, known, layers, same
from repro.recipe import Recipe
from repro.recipe.images import ResNetRecipe

# How many batches a norm has seen, which old files do not hold and which decides nothing.
_UNCOUNTED = Conversion(shapes=lambda ours: [], tensors=lambda theirs: [torch.zeros((), dtype=torch.int64)])


def _parts(recipe: Recipe, ours: Shapes, theirs: Shapes) -> list[Part]:
    counts = {name for name in ours if name.endswith("num_batches_tracked")}
    return [Part((name,), (), _UNCOUNTED) if name in counts - theirs.keys() else same(name) for name in ours]


def _sizes(theirs: Shapes) -> dict[str, Any]:
    sizes = known({"model.classes": ("fc.weight", 0), "model.width": ("conv1.weight", 0)}, theirs)
    stages = layers(theirs, r"layer(\d+)\.")
    blocks = tuple(layers(theirs, rf"layer{stage}\.(\d+)\.") for stage in range(1, stages + 1))
    return sizes | {"model.blocks": blocks}


def told(names: Collection[str]) -> Told:
    """What goes without saying: ReLU, unless its tensors, by ``names``, hold what an activation learns."""
    learned = any(re.search(r"(^|\.)act\d\.", name) for name in names)
    return Told("torchvision", {} if learned else {"model.activation": "relu"})


TORCHVISION = Layout(
    name="torchvision",
    anchor="layer1.0.conv3.weight",
    embedding="",
    head="",
    recipe=ResNetRecipe,
    parts=_parts,
    sizes=_sizes,
)
