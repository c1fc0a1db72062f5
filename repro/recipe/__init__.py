"""Recipes and machines: what is trained, and on what. Imports no torch."""

from repro.recipe.loading import from_file, load, names
from repro.recipe.machine import here, machine, machines
from repro.recipe.schema import Machine, Recipe
from repro.recipe.science import fingerprint

__all__ = ["Machine", "Recipe", "fingerprint", "from_file", "here", "load", "machine", "machines", "names"]
