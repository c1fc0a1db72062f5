"""What a run can be looked into for, by word. Each is a module of its own, imported when it is asked for."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Protocol, cast

from repro.inspection.found import Found
from repro.inspection.sample import Sample
from repro.recipe import Recipe
from repro.training.trained import Trained

NAMES = ("weights", "states", "activations", "sparsity")
READS_NOTHING = ("weights",)  # which take no text and no images
COMPARES = ("states",)  # which can take a second run
# What tables, figures and arrays are called: files in their way are told before anything is computed.
WRITES = {
    "weights": ("weights", "rank_over_*", "singular_values"),
    "states": ("states", "similarity*", "cka*"),
    "activations": ("activations", "coefficients*", "overflow", "inputs", "sizes"),
    "sparsity": ("sparsity*",),
}

Told = Callable[[int], None]


class Measure(Protocol):
    """A module of :mod:`repro.inspection`."""

    NAME: str
    ABOUT: str

    def refusal(self, recipe: Recipe) -> str:
        """Why it does not apply to a run of ``recipe``; empty where it does."""

    def work(self, of: Sequence[Trained], sample: Sample) -> int:
        """How much ``told`` is told of in all."""

    def measure(self, of: Sequence[Trained], sample: Sample, told: Told) -> Found:
        """Look into checkpoints, oldest first.

        Args:
            of: all that are asked for; most measures look at the last alone.
            sample: what their networks are given.
            told: called with so much more as is done.
        """


class Comparing(Measure, Protocol):
    """A measure that takes a second run."""

    def measure(self, of: Sequence[Trained], sample: Sample, told: Told, *, against: Trained | None = None) -> Found:
        """As the others, and beside the newest checkpoint the one of ``against``, on the same sample."""


def measure(name: str) -> Measure:
    """The one that is called ``name``."""
    return cast(Measure, import_module(f"repro.inspection.{name}"))


def comparing(name: str) -> Comparing:
    """One of :data:`COMPARES`."""
    return cast(Comparing, import_module(f"repro.inspection.{name}"))
