"""The activations of the paper and of its neighbours, by name and as modules.

A plain one is called with ``x``, a gated one with ``(gate, up)``, each ``(..., d_ff)``. The modules need nothing but
torch; names are looked up in the table of activations, ``recipes/activations.yaml``.
"""

import inspect
import sys
from typing import Any

from torch import nn

from repro.activations.gated import DReLU, Gated, PolyNormGLU, PolyReLUGLU, PowLU
from repro.activations.pointwise import XIELU, Poly, PReLU, SquaredLeakyReLU, SquaredReLU
from repro.activations.polycom import PolyCom, PolyNorm, PolyPReLU, PolyReLU, PolyReLUNorm
from repro.errors import RecipeError, nearest

__all__ = [
    "XIELU",
    "DReLU",
    "Gated",
    "PReLU",
    "Poly",
    "PolyCom",
    "PolyNorm",
    "PolyNormGLU",
    "PolyPReLU",
    "PolyReLU",
    "PolyReLUGLU",
    "PolyReLUNorm",
    "PowLU",
    "SquaredLeakyReLU",
    "SquaredReLU",
    "build",
    "names",
]


def names() -> tuple[str, ...]:
    """The activations of the table, in its order.

    Raises:
        RecipeError: the table cannot be read.
    """
    from repro.recipe.table import rows

    return tuple(rows())


def build(name: str, **options: Any) -> nn.Module:
    """A new module for a row of the table; ``options`` take precedence over the row's own.

    Raises:
        RecipeError: there is no such row, or its class takes no such option.
    """
    from repro.recipe.table import rows

    row = rows().get(name)
    if row is None:
        raise RecipeError(f"activation {name!r} is not in recipes/activations.yaml.{nearest(name, rows())}")
    kind = getattr(sys.modules[__name__], row.builds, None) or getattr(nn, row.builds, None)
    if kind is None:
        hint = nearest(row.builds, __all__)
        raise RecipeError(
            f"recipes/activations.yaml: {name} builds {row.builds!r}, "
            f"which neither repro.activations nor torch.nn has.{hint}"
        )
    there = _options(kind)
    if unknown := next((option for option in options if option not in there), None):
        known = ", ".join(there) or "none"
        hint = nearest(unknown, there)
        raise RecipeError(f"activation {name!r} has no option {unknown!r}; it has {known}.{hint}")
    module: nn.Module = kind(**{**row.options, **options})
    return module


def _options(kind: type[nn.Module]) -> list[str]:
    """What the constructor takes by name; that of a class without one of its own takes ``*args`` and ``**kwargs``."""
    return [name for name, p in inspect.signature(kind).parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
