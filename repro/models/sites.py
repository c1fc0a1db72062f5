"""What a network may be given for its activation sites, each of which gets a module of its own."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from repro import activations
from repro.errors import RecipeError

Activation = str | Callable[[], nn.Module]


def maker(activation: Activation) -> Callable[[], nn.Module]:
    """What makes the module of each site, after a look at two of them.

    Args:
        activation: a plain one: a name of the table, or a class or function that makes a new module.

    Raises:
        RecipeError: it is gated, unknown, makes no module, or is a module, whose coefficients all sites would share.
    """
    if isinstance(activation, nn.Module):
        kind = type(activation).__name__
        raise RecipeError(f"activation is one {kind}, which all sites would share; expected a name or the class itself")
    new = partial(activations.build, activation) if isinstance(activation, str) else activation
    first, second = (new(), new()) if _takes(new) else (None, None)
    if not isinstance(first, nn.Module):
        expected = "a name of the table, or a class or function that makes a module without arguments"
        raise RecipeError(f"activation must be {expected}, got {activation!r}")
    if first is second:
        raise RecipeError(f"activation makes the same {type(first).__name__} each time; each site needs a new one")
    if not _takes(first.forward, "x"):
        word = repr(activation) if isinstance(activation, str) else type(first).__name__
        raise RecipeError(f"activation {word} must take one input, as a site has; a gated one takes two")
    return new


def _takes(function: Any, *args: object) -> bool:
    """Whether ``function`` can be called with ``args``."""
    try:
        inspect.signature(function).bind(*args)
    except (TypeError, ValueError):  # not callable or not so; built in, without a signature
        return False
    return True
