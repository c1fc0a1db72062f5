"""Recipes and machines: what is trained, and on what. Imports no torch."""

from repro.recipe.loading import from_file, load, names
from repro.recipe.machine import here, machine, machines
from repro.recipe.schema import LanguageRecipe, Machine, Recipe
from repro.recipe.science import fingerprint

__all__ = [
    "LanguageRecipe",
    "Machine",
    "Recipe",
    "fingerprint",
    "from_file",
    "here",
    "load",
    "machine",
    "machines",
    "names",
]
